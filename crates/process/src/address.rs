//! Where a program is reached.

use std::{
    fmt,
    net::{Ipv6Addr, SocketAddr},
    str::FromStr,
};

use crate::{Exit, Failure};

/// A host and a port, such as `127.0.0.1:7400`, `[::1]:7400` or `db.example:7400`.
///
/// Reads also `http://127.0.0.1:7400` and `http://127.0.0.1:7400/`, as people
/// write the registry's. Port 0 stands for "any free one" where one listens.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Address {
    host: String,
    port: u16,
}

/// Why a text is no [`Address`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text:?} is no address: {why}; write it as 127.0.0.1:7400 or http://127.0.0.1:7400")]
pub struct InvalidAddress {
    text: String,
    why: &'static str,
}

impl Address {
    /// The host, an IPv6 one without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: address.ip().to_string(),
            port: address.port(),
        }
    }
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        parse(text).map_err(|why| InvalidAddress {
            text: text.to_owned(),
            why,
        })
    }
}

/// The address that a program registers: the one `given` by `--advertise`, or
/// the one that it listens on. A given port 0 stands for the listener's port.
///
/// # Errors
///
/// A [`Failure`] with [`Exit::Usage`] when the program listens on all addresses
/// and none is given: others could not reach it at `0.0.0.0`.
pub fn advertised(given: Option<Address>, listening: SocketAddr) -> Result<Address, Failure> {
    match given {
        Some(Address { host, port: 0 }) => Ok(Address {
            host,
            port: listening.port(),
        }),
        Some(address) => Ok(address),
        None if listening.ip().is_unspecified() => Err(Failure::new(
            Exit::Usage,
            format!(
                "listening on {listening}, all addresses of this machine, so others cannot be told \
                 which to use; pass --advertise HOST:{}",
                listening.port()
            ),
        )),
        None => Ok(listening.into()),
    }
}

fn parse(text: &str) -> Result<Address, &'static str> {
    if text.starts_with("https://") {
        return Err("TLS is not offered");
    }
    let rest = match text.strip_prefix("http://") {
        Some(rest) => rest.strip_suffix('/').unwrap_or(rest),
        None => text,
    };
    let (host, port) = rest.rsplit_once(':').ok_or("it has no port")?;
    let port = parse_port(port).ok_or("the port is not a number from 0 to 65535")?;
    let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(inner) => inner
            .parse::<Ipv6Addr>()
            .map_err(|_| "what stands in brackets is no IPv6 address")?
            .to_string(),
        None if is_host(host) => host.to_owned(),
        None => return Err("the host is neither a name nor an IP address"),
    };
    Ok(Address { host, port })
}

/// `u16::from_str` would take `+80`.
fn parse_port(text: &str) -> Option<u16> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// A DNS name has at most 253 bytes (RFC 1035); `_` is common in container names.
fn is_host(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    (1..=253).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        let check = |text: &str, expected: Result<&str, &str>| {
            let read = text.parse::<Address>();
            let found = read.as_ref().map(ToString::to_string);
            let found = found.as_deref().map_err(|error| error.why);
            assert_eq!(found, expected, "{text:?}");
        };
        check("127.0.0.1:7400", Ok("127.0.0.1:7400"));
        check("http://127.0.0.1:7400", Ok("127.0.0.1:7400"));
        check("http://localhost:7400/", Ok("localhost:7400"));
        check("[::1]:80", Ok("[::1]:80"));
        check("http://[0:0::1]:80", Ok("[::1]:80"));
        check("my_host-1.example:0", Ok("my_host-1.example:0"));
        check("https://localhost:1", Err("TLS is not offered"));
        check("localhost", Err("it has no port"));
        check("", Err("it has no port"));
        let port = Err("the port is not a number from 0 to 65535");
        check("localhost:", port);
        check("localhost:+80", port);
        check("localhost:65536", port);
        check("http://localhost:80/path", port);
        let host = Err("the host is neither a name nor an IP address");
        check(":80", host);
        check("::1:80", host);
        check("a b:80", host);
        check("[::1:80", host);
        check("ftp://a:80", host);
        check(
            "[localhost]:80",
            Err("what stands in brackets is no IPv6 address"),
        );
    }

    #[test]
    fn what_is_advertised_can_be_dialled() {
        let check = |given: Option<&str>, listening: &str, expected: Option<&str>| {
            let given = given.map(|text| text.parse().unwrap());
            let found = advertised(given, listening.parse().unwrap());
            assert_eq!(found.ok().map(|a| a.to_string()).as_deref(), expected);
        };
        check(None, "127.0.0.1:81", Some("127.0.0.1:81"));
        check(Some("box:80"), "0.0.0.0:81", Some("box:80"));
        check(Some("box:0"), "0.0.0.0:81", Some("box:81"));
        check(None, "0.0.0.0:81", None);
        check(None, "[::]:81", None);
    }
}
