use super::*;

const NOW: Duration = Duration::ZERO;

fn conf(text: &str) -> Conf {
    Conf::parse(text, |_| None)
}

fn ids() -> impl FnMut() -> u16 {
    let mut next = 0x1000;
    move || {
        next += 1;
        next
    }
}

fn sent(l: &mut Lookup, now: Duration) -> (SocketAddr, Vec<u8>) {
    match l.poll(now) {
        Action::Send { server, message } => (server, message),
        other => panic!("expected a datagram, got {other:?}"),
    }
}

/// Turns a query into a response with this code and one record's type and data.
fn reply(query: &[u8], code: u8, record: Option<(u16, &[u8])>) -> Vec<u8> {
    let mut m = query.to_vec();
    m[2] |= 0x80;
    m[3] = code;
    if let Some((kind, data)) = record {
        m[7] = 1;
        m.extend_from_slice(&[0xc0, 12]);
        m.extend_from_slice(&kind.to_be_bytes());
        m.extend_from_slice(&[0, 1, 0, 0, 0, 60, 0, data.len() as u8]);
        m.extend_from_slice(data);
    }
    m
}

fn asked(message: &[u8]) -> String {
    let mut text = String::new();
    let mut at = 12;
    while message[at] != 0 {
        let n = usize::from(message[at]);
        text += core::str::from_utf8(&message[at + 1..=at + n]).expect("names of these tests are ASCII");
        text.push('.');
        at += n + 1;
    }
    text
}

#[test]
fn both_families_are_asked_at_once_and_both_answers_kept() {
    let mut l =
        Lookup::new(conf("nameserver 10.0.0.1"), "host.example", &[RecordType::A, RecordType::AAAA], true, ids());
    let (server, a) = sent(&mut l, NOW);
    let (_, aaaa) = sent(&mut l, NOW);
    assert!(matches!(l.poll(NOW), Action::Wait { until } if until == Duration::from_secs(5)));
    l.handle_reply(server, &reply(&aaaa, 0, Some((28, &[0xfd; 16]))));
    l.handle_reply(server, &reply(&a, 0, Some((1, &[10, 0, 0, 7]))));
    assert_eq!(l.poll(NOW), Action::Finished);
    assert_eq!(l.finish().map(|a| a.addresses.len()), Ok(2));
}

#[test]
fn the_search_list_is_tried_in_the_order_that_ndots_asks_for() {
    let text = "nameserver 10.0.0.1\nsearch a b\noptions ndots:2";
    for (name, order) in [("x.y", ["x.y.a.", "x.y.b.", "x.y."]), ("x.y.z", ["x.y.z.", "x.y.z.a.", "x.y.z.b."])] {
        let mut l = Lookup::new(conf(text), name, &[RecordType::A], true, ids());
        for expected in order {
            let (server, q) = sent(&mut l, NOW);
            assert_eq!(asked(&q), expected);
            l.handle_reply(server, &reply(&q, 3, None));
        }
        assert_eq!(l.poll(NOW), Action::Finished);
        assert_eq!(l.finish(), Err(Failure::NoSuchName));
    }
}

#[test]
fn a_final_dot_turns_the_search_list_off() {
    let mut l = Lookup::new(conf("search a"), "x.", &[RecordType::A], true, ids());
    let (server, q) = sent(&mut l, NOW);
    l.handle_reply(server, &reply(&q, 0, None));
    assert_eq!((asked(&q).as_str(), l.poll(NOW), l.finish()), ("x.", Action::Finished, Err(Failure::NoData)));
}

#[test]
fn silence_moves_on_to_the_next_server_and_at_last_gives_up() {
    let text = "nameserver 10.0.0.1\nnameserver 10.0.0.2\noptions timeout:1 attempts:2";
    let mut l = Lookup::new(conf(text), "x.", &[RecordType::A], true, ids());
    let mut now = NOW;
    for server in ["10.0.0.1:53", "10.0.0.2:53", "10.0.0.1:53", "10.0.0.2:53"] {
        assert_eq!(sent(&mut l, now).0.to_string(), server);
        let Action::Wait { until } = l.poll(now) else { panic!("expected a wait") };
        now = until;
    }
    assert_eq!(l.poll(now), Action::Finished);
    assert_eq!(l.finish(), Err(Failure::TryAgain));
}

#[test]
fn a_server_that_refuses_is_left_for_the_next_at_once() {
    let text = "nameserver 10.0.0.1\nnameserver 10.0.0.2";
    let mut l = Lookup::new(conf(text), "x.", &[RecordType::A], true, ids());
    let (first, q) = sent(&mut l, NOW);
    l.handle_reply(first, &reply(&q, 5, None));
    let (second, q) = sent(&mut l, NOW);
    assert_ne!(first, second);
    l.handle_reply(second, &reply(&q, 0, Some((1, &[1, 2, 3, 4]))));
    assert!(l.finish().is_ok());
}

#[test]
fn a_truncated_answer_is_asked_for_over_tcp() {
    let mut l = Lookup::new(conf("nameserver 10.0.0.1"), "x.", &[RecordType::A], true, ids());
    let (server, q) = sent(&mut l, NOW);
    let mut cut = reply(&q, 0, None);
    cut[2] |= 2;
    l.handle_reply(server, &cut);
    let Action::Ask { message, .. } = l.poll(NOW) else { panic!("expected TCP") };
    l.handle_reply(server, &reply(&message, 0, Some((1, &[1, 2, 3, 4]))));
    assert_eq!(l.poll(NOW), Action::Finished);
    assert!(l.finish().is_ok());
}

#[test]
fn answers_from_strangers_with_wrong_ids_or_twice_change_nothing() {
    let mut l = Lookup::new(conf("nameserver 10.0.0.1"), "x.", &[RecordType::A, RecordType::AAAA], true, ids());
    let (server, a) = sent(&mut l, NOW);
    sent(&mut l, NOW);
    let good = reply(&a, 0, Some((1, &[1, 2, 3, 4])));
    l.handle_reply("10.0.0.9:53".parse().expect("a literal"), &good);
    let mut wrong = good.clone();
    wrong[0] ^= 1;
    l.handle_reply(server, &wrong);
    assert!(l.answer.addresses.is_empty());
    l.handle_reply(server, &good);
    l.handle_reply(server, &good);
    assert_eq!(l.answer.addresses.len(), 1);
}

#[test]
fn a_name_that_cannot_be_one_is_finished_at_once() {
    let mut l = Lookup::new(conf(""), "a..b", &[RecordType::A], true, ids());
    assert_eq!((l.poll(NOW), l.finish()), (Action::Finished, Err(Failure::NoSuchName)));
}
