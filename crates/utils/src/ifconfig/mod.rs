//! `ifconfig`: shows and changes interfaces, with BSD's syntax and the layout of the system's
//! description.

mod apply;
mod parse;
mod show;

use std::ffi::OsString;

use crate::client::Instance;
use crate::command::{Command, Failure, texts};
use crate::stdout;
use parse::What;

pub const COMMAND: Command = Command {
    name: "ifconfig",
    summary: "show and change network interfaces",
    usage: &[
        "[-p PREFIX] [-v] [-a | INTERFACE [inet | inet6]]",
        "[-p PREFIX] -l [-u | -d]",
        "[-p PREFIX] INTERFACE [inet | inet6] [ADDRESS[/LEN] [PEER]] [PARAMETERS]",
    ],
    details: "\
Parameters: netmask MASK, prefixlen LEN, broadcast ADDRESS, alias, -alias,
delete, up, down, mtu BYTES, lladdr MAC (or link MAC), [-]promisc,
[-]debug, destroy.
",
    run,
};

fn run(words: Vec<OsString>) -> Result<u8, Failure> {
    let words = texts(words)?;
    let invocation = parse::parse(&words)?;
    let instance = Instance::open(invocation.prefix)?;
    let interfaces = instance.interfaces()?;
    let find = |name: &str| {
        interfaces.iter().find(|i| i.name == name).ok_or_else(|| Failure::new(format!("{name}: no such interface")))
    };
    match invocation.what {
        What::Show { name, family } => {
            let chosen = match name {
                Some(name) => std::slice::from_ref(find(name)?),
                None => interfaces.as_slice(),
            };
            let text: String = chosen.iter().map(|i| show::interface(i, family, invocation.verbose)).collect();
            stdout::print(&text)?;
        }
        What::List { up } => {
            let named: Vec<&str> = interfaces
                .iter()
                .filter(|i| up.is_none_or(|up| up == (i.flags & sockets::config::iff::UP != 0)))
                .map(|i| i.name.as_str())
                .collect();
            stdout::print(&format!("{}\n", named.join(" ")))?;
        }
        What::Change { name, change } => apply::apply(&instance, find(name)?, &change)?,
    }
    Ok(0)
}
