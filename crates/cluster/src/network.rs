//! A network of its own for each replica, that can be cut.

use std::{
    net::{IpAddr, Ipv4Addr},
    process::{self, Command},
};

use anyhow::{Context as _, ensure};

use crate::{Builder, Host, Role};

/// Nobody has this address on the link, so what is sent to it is lost without a word.
const NOBODY: &str = "02:00:00:00:00:ff";
/// Where the registry, the front ends and whoever made the network are.
const HUB: u32 = 254;

/// Which packets of a replica are lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// Those that it sends.
    Out,
    /// Those that are sent to it.
    In,
    /// All.
    Both,
    /// All between it and the other replicas; front ends still reach it.
    Peers,
}

/// A network namespace for each replica, all joined by a bridge to where the other
/// programs are. They go when this does, so it has to outlive the cluster.
///
/// One process can have one of them at a time. The addresses are in 10.128.0.0/9.
#[derive(Debug)]
pub struct Network {
    replicas: u32,
}

impl Network {
    /// A network for so many replicas, at most 253.
    ///
    /// # Errors
    ///
    /// Where it cannot be made: that needs Linux, root and the `ip` command.
    pub fn new(replicas: u32) -> anyhow::Result<Self> {
        ensure!(replicas < HUB, "there are not {replicas} addresses");
        // What is made when it fails goes with it.
        let network = Self { replicas };
        let made = network.make();
        made.context("it needs root, and iproute2 with namespaces, bridges and veth")?;
        Ok(network)
    }

    /// Has every program of a cluster run in this network.
    #[must_use]
    pub fn hold(&self, mut builder: Builder) -> Builder {
        let front_ends = (1..=builder.front_ends).map(Role::FrontEnd);
        for role in front_ends.chain([Role::Registry]) {
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
    ///
    /// # Errors
    ///
    /// If `ip` does not do what it did for the others.
    pub fn cut(&self, replica: u32, cut: Cut) -> anyhow::Result<()> {
        self.neighbours(replica, cut, |from, to| {
            let (to, device) = (address(to).to_string(), device(from));
            let entry = ["neigh", "replace", &to, "lladdr", NOBODY];
            at(
                from,
                &[&entry[..], &["nud", "permanent", "dev", &device]].concat(),
            )
        })
    }

    /// Loses nothing any more of what this cut lost.
    ///
    /// # Errors
    ///
    /// If there was no such cut.
    pub fn heal(&self, replica: u32, cut: Cut) -> anyhow::Result<()> {
        self.neighbours(replica, cut, |from, to| {
            let (to, device) = (address(to).to_string(), device(from));
            at(from, &["neigh", "del", &to, "dev", &device])
        })
    }

    /// Changes whom hosts find where, for each pair of hosts that a cut concerns.
    fn neighbours(
        &self,
        replica: u32,
        cut: Cut,
        change: impl Fn(u32, u32) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let hub = (cut != Cut::Peers).then_some(HUB);
        let others = (1..=self.replicas).chain(hub);
        for other in others.filter(|&other| other != replica) {
            if cut != Cut::In {
                change(replica, other)?;
            }
            if cut != Cut::Out {
                change(other, replica)?;
            }
        }
        Ok(())
    }

    fn make(&self) -> anyhow::Result<()> {
        let (hub, bridge) = (format!("{}/24", address(HUB)), device(HUB));
        ip(&["link", "add", &bridge, "type", "bridge"])?;
        ip(&["address", "add", &hub, "dev", &bridge])?;
        ip(&["link", "set", &bridge, "up"])?;
        (1..=self.replicas).try_for_each(join)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for number in 1..=self.replicas {
            // Its other end would stay as long as a process is there.
            let _ = ip(&["link", "del", &port(number)]);
            let _ = ip(&["netns", "del", &namespace(number)]);
        }
        let _ = ip(&["link", "del", &device(HUB)]);
    }
}

/// Makes a host and its link to the bridge.
fn join(host: u32) -> anyhow::Result<()> {
    let (namespace, device, port) = (namespace(host), device(host), port(host));
    let own = format!("{}/24", address(host));
    ip(&["netns", "add", &namespace])?;
    let link = ["link", "add", &port, "type", "veth", "peer"];
    ip(&[&link[..], &["name", &device, "netns", &namespace]].concat())?;
    ip(&["link", "set", &port, "master", &self::device(HUB), "up"])?;
    at(host, &["address", "add", &own, "dev", &device])?;
    at(host, &["link", "set", &device, "up"])?;
    at(host, &["link", "set", "lo", "up"])
}

/// Another network for each process, so that tests do not meet.
fn address(host: u32) -> IpAddr {
    let [.., middle, low] = process::id().to_be_bytes();
    // 10.128.0.0/9 is rarely used; each process takes a 256th of a part of it.
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
fn at(host: u32, args: &[&str]) -> anyhow::Result<()> {
    if host == HUB {
        ip(args)
    } else {
        ip(&[&["-n", &namespace(host)][..], args].concat())
    }
}

fn ip(args: &[&str]) -> anyhow::Result<()> {
    let ran = Command::new("ip").args(args).output();
    let ran = ran.context("cannot run the ip command")?;
    let said = String::from_utf8_lossy(&ran.stderr);
    ensure!(
        ran.status.success(),
        "ip {}: {}",
        args.join(" "),
        said.trim_end()
    );
    Ok(())
}
