//! A network of its own for each replica, that can be cut one way.

use std::{
    net::{IpAddr, Ipv4Addr},
    process,
};

use backfence_cluster::{Builder, Host, Role};

use super::works;

/// Nobody has this address on the link, so what is sent to it is lost without a word.
const NOBODY: &str = "02:00:00:00:00:ff";
/// Where the registry, the front end and the test are.
const HUB: u32 = 254;

/// Which packets of a replica are lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cut {
    /// Those that it sends.
    Out,
    /// Those that are sent to it.
    In,
    /// All.
    Both,
}

/// A network namespace for each replica, all joined by a bridge. They go when this
/// does.
pub(crate) struct Network {
    replicas: u32,
}

impl Network {
    /// `None` where it cannot be made, which is said.
    pub(crate) fn new(test: &str, replicas: u32) -> Option<Self> {
        let network = Self { replicas };
        let made = network.make();
        if !made {
            println!("SKIPPED {test}: it needs root and the ip command, with namespaces and veth");
        }
        made.then_some(network)
    }

    /// Has every program of a cluster run in this network.
    pub(crate) fn hold(&self, mut builder: Builder) -> Builder {
        for role in [Role::Registry, Role::FrontEnd(1)] {
            let (address, wrapper) = (address(HUB), Vec::new());
            builder = builder.host(role, Host { address, wrapper });
        }
        for number in 1..=self.replicas {
            let wrapper = ["ip", "netns", "exec", &namespace(number)];
            let host = Host {
                address: address(number),
                wrapper: wrapper.map(str::to_owned).into(),
            };
            builder = builder.host(Role::Replica(number), host);
        }
        builder
    }

    /// Loses packets of one replica from now on.
    pub(crate) fn cut(&self, replica: u32, cut: Cut) {
        self.neighbours(replica, cut, |from, to| {
            let to = address(to).to_string();
            let device = device(from);
            let entry = [
                "neigh",
                "replace",
                &to,
                "lladdr",
                NOBODY,
                "nud",
                "permanent",
            ];
            at(from, &[&entry[..], &["dev", &device]].concat())
        });
    }

    /// Loses nothing any more.
    pub(crate) fn heal(&self, replica: u32, cut: Cut) {
        self.neighbours(replica, cut, |from, to| {
            let (to, device) = (address(to).to_string(), device(from));
            at(from, &["neigh", "del", &to, "dev", &device])
        });
    }

    /// Changes whom hosts find where, for each pair of hosts that a cut concerns.
    fn neighbours(&self, replica: u32, cut: Cut, change: impl Fn(u32, u32) -> bool) {
        let others = (1..=self.replicas).chain([HUB]);
        for other in others.filter(|&other| other != replica) {
            let out = cut == Cut::In || change(replica, other);
            let into = cut == Cut::Out || change(other, replica);
            assert!(out && into, "it did so for the others");
        }
    }

    fn make(&self) -> bool {
        let hub = format!("{}/24", address(HUB));
        let bridge = device(HUB);
        let made = ip(&["link", "add", &bridge, "type", "bridge"])
            && ip(&["address", "add", &hub, "dev", &bridge])
            && ip(&["link", "set", &bridge, "up"]);
        made && (1..=self.replicas).all(|number| self.join(number))
    }

    fn join(&self, number: u32) -> bool {
        let (namespace, device) = (namespace(number), device(number));
        let port = port(number);
        let own = format!("{}/24", address(number));
        ip(&["netns", "add", &namespace])
            && ip(&[
                "link", "add", &port, "type", "veth", "peer", "name", &device, "netns", &namespace,
            ])
            && ip(&["link", "set", &port, "master", &self::device(HUB), "up"])
            && at(number, &["address", "add", &own, "dev", &device])
            && at(number, &["link", "set", &device, "up"])
            && at(number, &["link", "set", "lo", "up"])
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for number in 1..=self.replicas {
            // Its other end would stay as long as a process is there.
            ip(&["link", "del", &port(number)]);
            ip(&["netns", "del", &namespace(number)]);
        }
        ip(&["link", "del", &device(HUB)]);
    }
}

/// Another network for each process, so that tests do not meet.
fn address(host: u32) -> IpAddr {
    let [.., middle, low] = process::id().to_be_bytes();
    // 10.128.0.0/9 is rarely used; each test program takes a 256th of a part of it.
    Ipv4Addr::new(10, 128 | middle >> 1, low, host as u8).into()
}

fn namespace(host: u32) -> String {
    format!("backfence-{}-{host}", process::id())
}

/// At most 15 characters, of which a port takes one.
fn device(host: u32) -> String {
    format!("bf{}x{host}", process::id())
}

/// The end of a host's link that is at the bridge.
fn port(host: u32) -> String {
    format!("{}p", device(host))
}

/// Runs `ip` where a host is.
fn at(host: u32, args: &[&str]) -> bool {
    if host == HUB {
        ip(args)
    } else {
        ip(&[&["-n", &namespace(host)][..], args].concat())
    }
}

fn ip(args: &[&str]) -> bool {
    works("ip", args)
}
