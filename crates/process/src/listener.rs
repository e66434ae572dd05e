//! Where connections come from.

use std::{future::Future, io, net::SocketAddr};

use clap::Args;
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::server::Connected;

use crate::{Address, Io};

/// Yields connections: a real socket, or one of a simulated network.
pub trait Listener: Send + 'static {
    /// A connection.
    type Io: Io + Connected;

    /// The next connection. Must be safe to drop before it comes.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Io>> + Send;

    /// Where it listens, with the real port.
    ///
    /// # Errors
    ///
    /// When the system does not say.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

impl Listener for TcpListener {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        let (stream, _) = Self::accept(self).await?;
        // Fails only when the peer has gone already, which reading will tell.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}

/// Whether only this machine reaches who listens on this address.
pub fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Why one cannot listen on an address. Ends a program with
/// [`Exit::Usage`](crate::Exit::Usage).
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another program has the port.
    #[error("{0} is in use by another program; stop that one, or pass --listen with another port")]
    InUse(Address),
    /// The host is none of this machine's addresses.
    #[error(
        "{0} is no address of this machine; pass --listen with one that is, such as 127.0.0.1:0"
    )]
    NotHere(Address),
    /// Ports below 1024 are often reserved.
    #[error("not allowed to listen on {0}; pass --listen with a port from 1024 on")]
    NotAllowed(Address),
    /// Other machines reach it, and nobody has said that this is wanted.
    #[error(
        "{0} can be reached from other machines, and nothing that is sent there is encrypted: who \
         is on that network can read and change it; pass --listen with a loopback address, such \
         as 127.0.0.1:0, or --insecure where you trust that network"
    )]
    Insecure(Address),
    /// Anything else.
    #[error("cannot listen on {0}; pass --listen with another address")]
    Other(Address, #[source] io::Error),
}

/// Where a program listens. For `#[command(flatten)]`.
#[derive(Clone, Debug, Args)]
pub struct ListenArgs {
    /// The address to listen on; port 0 takes a free one
    #[arg(
        long,
        env = "BACKFENCE_LISTEN",
        default_value = "127.0.0.1:0",
        value_name = "ADDR"
    )]
    pub listen: Address,
    /// Listen also where other machines reach it, although nothing is encrypted
    #[arg(long, env = "BACKFENCE_INSECURE")]
    pub insecure: bool,
}

impl ListenArgs {
    /// Listens there.
    ///
    /// # Errors
    ///
    /// [`BindError`], also where others reach it and it is not to be insecure.
    pub async fn bind(&self) -> Result<TcpListener, BindError> {
        let listener = bind(&self.listen).await?;
        let is_local = listener.local_addr().is_ok_and(is_loopback);
        match is_local || self.insecure {
            true => Ok(listener),
            false => Err(BindError::Insecure(self.listen.clone())),
        }
    }
}

/// Listens on a TCP address; port 0 takes a free one.
///
/// # Errors
///
/// [`BindError`], which names the address and says what to do.
pub async fn bind(address: &Address) -> Result<TcpListener, BindError> {
    let resolved: Vec<SocketAddr> = tokio::net::lookup_host((address.host(), address.port()))
        .await
        .map_err(|_| BindError::NotHere(address.clone()))?
        .collect();
    TcpListener::bind(resolved.as_slice())
        .await
        .map_err(|error| {
            let address = address.clone();
            match error.kind() {
                io::ErrorKind::AddrInUse => BindError::InUse(address),
                io::ErrorKind::AddrNotAvailable => BindError::NotHere(address),
                io::ErrorKind::PermissionDenied => BindError::NotAllowed(address),
                _ => BindError::Other(address, error),
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let first = bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
        let taken = Address::from(first.local_addr().unwrap());
        let error = bind(&taken).await.unwrap_err();
        assert!(matches!(&error, BindError::InUse(address) if *address == taken));
        assert!(error.to_string().contains(&taken.to_string()));
    }

    #[tokio::test]
    async fn others_reach_it_only_where_that_is_wanted() {
        for (address, insecure, expected) in [
            ("127.0.0.1:0", false, true),
            ("127.0.0.2:0", false, true),
            ("localhost:0", false, true),
            ("0.0.0.0:0", false, false),
            ("0.0.0.0:0", true, true),
        ] {
            let listen = address.parse().unwrap();
            let bound = ListenArgs { listen, insecure }.bind().await;
            assert_eq!(bound.is_ok(), expected, "{address}");
            if let Err(error) = bound {
                let said = error.to_string();
                assert!(matches!(error, BindError::Insecure(_)), "{said}");
                for text in [address, "encrypted", "--listen", "--insecure"] {
                    assert!(said.contains(text), "{text}: {said}");
                }
            }
        }
        for (address, expected) in [
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("[::]:1", false),
            ("[::ffff:10.0.0.1]:1", false),
        ] {
            assert_eq!(is_loopback(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[tokio::test]
    async fn a_foreign_address_is_named() {
        // TEST-NET-1 (RFC 5737) belongs to no machine.
        let foreign: Address = "192.0.2.1:0".parse().unwrap();
        let error = bind(&foreign).await.unwrap_err();
        assert!(matches!(error, BindError::NotHere(address) if address == foreign));
    }
}
