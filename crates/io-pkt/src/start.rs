//! From the command line to a running shard, and down again.

use rustix::event::epoll;
use sockets::paths;
use stack::Stack;

use crate::args::{self, Args, Parsed, Variant};
use crate::daemonize::{self, Readiness};
use crate::instance::{Instance, plain};
use crate::links::Links;
use crate::shard::{Parts, Shard, now};
use crate::{logging, sys};

/// Exit status of a wrong command line, and of a start that failed.
const USAGE: u8 = 2;
const FAILED: u8 = 1;

/// The whole program; gives back its exit status.
pub fn run(argv: Vec<String>) -> u8 {
    let argv0 = argv.first().map_or("io-pkt", String::as_str);
    let variant = Variant::of_program(argv0);
    let args = match args::parse(argv0, argv.get(1..).unwrap_or_default()) {
        Ok(Parsed::Run(args)) => args,
        Ok(Parsed::Help) => {
            println!("{}", args::help(variant));
            return 0;
        }
        Ok(Parsed::Version) => {
            println!("{} {}", variant.name(), env!("CARGO_PKG_VERSION"));
            return 0;
        }
        Err(line) => {
            eprintln!("{}: {line}\n{}", variant.name(), args::usage(variant));
            return USAGE;
        }
    };
    match serve(&args) {
        Ok(status) => status,
        Err(line) => {
            eprintln!("{}: {line}", variant.name());
            FAILED
        }
    }
}

fn serve(args: &Args) -> Result<u8, String> {
    if !args.foreground {
        // A lock or a pipe of whoever started us must not live as long as we do.
        sys::close_inherited(args.inherited_descriptors());
    }
    let run_dir = paths::run_dir(|name| std::env::var(name).ok(), rustix::process::geteuid().as_raw());
    let run_dir = std::path::absolute(&run_dir).map_err(|e| format!("{}: {}", run_dir.display(), plain(&e)))?;
    let instance = Instance::claim(&run_dir, &args.prefix)?;
    let log = instance.log().map_err(|e| format!("{}: {}", run_dir.display(), plain(&e)))?;
    // Before the first thread: drivers may start some.
    let readiness = if args.foreground {
        logging::start(args.verbose, None);
        Readiness::foreground()
    } else {
        let readiness = daemonize::background().map_err(|e| format!("going to the background: {}", plain(&e)))?;
        let copy = log.try_clone().map_err(|e| format!("the log: {}", plain(&e)))?;
        logging::start(args.verbose, Some(copy));
        readiness
    };
    match start(args, instance) {
        Ok(shard) => {
            if !args.foreground
                && let Err(error) = daemonize::leave_terminal(&log)
            {
                tracing::warn!("leaving the terminal: {error}");
            }
            drop(log);
            readiness.ready();
            Ok(run_to_end(shard))
        }
        Err(line) => {
            // In the foreground the log is where the line goes as well.
            if !args.foreground {
                tracing::error!("{line}");
            }
            readiness.failed(&format!("{}: {line}", args.variant.name()), FAILED);
            Ok(FAILED)
        }
    }
}

/// Everything up to the loop: privileges are still there, links are opened.
fn start(args: &Args, mut instance: Instance) -> Result<Shard, String> {
    let because = |what: &str| {
        let what = what.to_owned();
        move |e: std::io::Error| format!("{what}: {}", plain(&e))
    };
    if args.crash_handler {
        sys::install_crash_handler();
    }
    sys::ignore_signal(libc::SIGPIPE);
    sys::ignore_signal(libc::SIGHUP);
    let signals = sys::signal_descriptor(&[libc::SIGTERM, libc::SIGINT]).map_err(because("signals"))?;
    sys::raise_descriptor_limit();
    if let Some(priority) = args.priority {
        sys::set_scheduling(args::scheduling(priority)).map_err(because(&format!("-P {priority}")))?;
    }
    instance.settle().map_err(because(instance.prefix()))?;

    let mut config = args.variant.stack_config(sys::random_u64());
    if let Some(somaxconn) = args.somaxconn {
        config.somaxconn = somaxconn;
    }
    config.hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let control = msg::Channel::create(&instance.ctl()).map_err(because(&instance.ctl().display().to_string()))?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|e| because("epoll")(e.into()))?;
    let links = Links::new(epoll.try_clone().map_err(because("epoll"))?);
    let parts = Parts { epoll, stack: Stack::new(config), links, control, instance, variant: args.variant, signals };
    let mut shard = Shard::new(parts).map_err(because("epoll"))?;

    for (name, value) in &args.sysctls {
        shard.set_sysctl(name, value).map_err(|(_, text)| text)?;
    }
    for driver in &args.drivers {
        shard.attach(now(), &driver.name, &driver.options).map_err(|(_, text)| text)?;
    }
    for protocol in &args.protocols {
        let Shard { links, stack, .. } = &mut shard;
        links.attach_protocol(now(), stack, &protocol.name, &protocol.options).map_err(|(_, text)| text)?;
    }
    shard.settle(now());
    if let Some(user) = &args.user {
        drop_privileges(user, &shard)?;
    }
    tracing::info!("{} serves {}", args.variant.name(), args.prefix);
    Ok(shard)
}

/// `-U`: the links are open, root's rights are not needed any more.
fn drop_privileges(user: &args::User, shard: &Shard) -> Result<(), String> {
    let name = &user.user;
    let (uid, primary) = match name.parse::<u32>() {
        Ok(uid) => (uid, sys::group_of_user(uid)),
        Err(_) => sys::user_by_name(name)
            .map(|(uid, gid)| (uid, Some(gid)))
            .ok_or_else(|| format!("-U {name}: no such user"))?,
    };
    let mut gids = Vec::new();
    for group in &user.groups {
        let gid = group.parse::<u32>().ok().or_else(|| sys::group_by_name(group));
        gids.push(gid.ok_or_else(|| format!("-U {name}: no such group \"{group}\""))?);
    }
    let gid = gids.first().copied().or(primary).ok_or_else(|| format!("-U {name}: say the group too: {name}:GROUP"))?;
    let supplementary = gids.get(1..).unwrap_or_default();
    shard.instance.hand_to(uid, gid).map_err(|e| format!("-U {name}: {}", plain(&e)))?;
    sys::become_user(uid, gid, supplementary).map_err(|e| format!("-U {name}: {}", plain(&e)))
}

fn run_to_end(mut shard: Shard) -> u8 {
    let status = match shard.run() {
        Ok(end) => {
            tracing::info!("ending: {end:?}");
            0
        }
        Err(error) => {
            tracing::error!("the loop failed: {error}");
            FAILED
        }
    };
    shard.close_all(now());
    status
}
