//! A cluster of three etcd, where it is installed, for a figure beside ours.
//!
//! It promises more: its writes are linearizable, ours are causal.

use std::{
    env,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use bytes::{Buf as _, BufMut};
use http::uri::PathAndQuery;
use tokio::task::JoinSet;
use tonic::{
    Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};

/// How long it may take to elect a leader.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a put says. Only these fields of etcd's message are used.
struct Put {
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Put {
    /// As protobuf has it: the key is field 1, the value field 2.
    fn encode(&self, buffer: &mut impl BufMut) {
        for (number, field) in [(1, &self.key), (2, &self.value)] {
            // Tag and length are a byte each.
            let length = u8::try_from(field.len())
                .ok()
                .filter(|&length| length < 128);
            buffer.put_u8(number << 3 | 2);
            buffer.put_u8(length.expect("a put is short"));
            buffer.put_slice(field);
        }
    }
}

/// Puts on the wire. What of the answer matters: nothing.
struct Puts;

impl Codec for Puts {
    type Encode = Put;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Puts {
    type Item = Put;
    type Error = Status;

    fn encode(&mut self, put: Put, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        put.encode(buffer);
        Ok(())
    }
}

impl Decoder for Puts {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        buffer.advance(buffer.remaining());
        Ok(Some(()))
    }
}

/// Three members, each with a directory of its own. They end when this is dropped.
pub(crate) struct Etcd {
    members: Vec<Child>,
    urls: Vec<String>,
    _folder: tempfile::TempDir,
}

/// Where it is, if it is installed.
pub(crate) fn find() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let candidates = env::split_paths(&path).map(|folder| folder.join("etcd"));
    candidates.into_iter().find(|program| program.is_file())
}

impl Etcd {
    /// Starts them in a folder on the same disk as ours, and waits for a first put.
    pub(crate) fn start(program: &Path, folder: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir_in(folder).context("cannot make a folder for etcd")?;
        let peers = [free()?, free()?, free()?];
        let clients = [free()?, free()?, free()?];
        let all: Vec<_> = (1..)
            .zip(&peers)
            .map(|(n, at)| format!("m{n}=http://{at}"))
            .collect();
        let mut etcd = Self {
            members: Vec::new(),
            urls: clients.iter().map(|at| format!("http://{at}")).collect(),
            _folder: folder,
        };
        for (number, (peer, client)) in (1..).zip(peers.iter().zip(&clients)) {
            let (peer, client) = (format!("http://{peer}"), format!("http://{client}"));
            let child = Command::new(program)
                .args(["--name", &format!("m{number}"), "--data-dir"])
                .arg(etcd._folder.path().join(number.to_string()))
                .args([
                    "--listen-peer-urls",
                    &peer,
                    "--initial-advertise-peer-urls",
                    &peer,
                ])
                .args([
                    "--listen-client-urls",
                    &client,
                    "--advertise-client-urls",
                    &client,
                ])
                .args(["--initial-cluster", &all.join(",")])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .context("cannot start etcd")?;
            etcd.members.push(child);
        }
        Ok(etcd)
    }

    /// Puts a second by so many clients at once, each on a connection of its own to one
    /// of the members in turn.
    pub(crate) async fn puts(&self, clients: u32, length: Duration) -> anyhow::Result<f64> {
        let mut connected = Vec::new();
        for url in self.urls.iter().cycle().take(clients as usize) {
            connected.push(connect(url).await?);
        }
        let (begun, mut running) = (Instant::now(), JoinSet::new());
        for (number, mut client) in (0_u32..).zip(connected) {
            running.spawn(async move {
                let mut puts = 0_u64;
                while begun.elapsed() < length {
                    put(&mut client, number, puts).await?;
                    puts += 1;
                }
                anyhow::Ok(puts)
            });
        }
        let mut puts = 0;
        while let Some(done) = running.join_next().await {
            puts += done??;
        }
        Ok(puts as f64 / begun.elapsed().as_secs_f64())
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for member in &mut self.members {
            // Fails when it has ended by itself, which is as good.
            let _ = member.kill();
            let _ = member.wait();
        }
    }
}

/// Tries until a put is taken: before that there is no leader.
async fn connect(url: &str) -> anyhow::Result<Grpc<Channel>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(channel) = Channel::from_shared(url.to_owned())?.connect().await {
            let mut client = Grpc::new(channel);
            if put(&mut client, u32::MAX, 0).await.is_ok() {
                return Ok(client);
            }
        }
        if Instant::now() > deadline {
            bail!("etcd at {url} takes no put");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// As long as a rating of ours.
async fn put(client: &mut Grpc<Channel>, number: u32, puts: u64) -> anyhow::Result<()> {
    client.ready().await?;
    let message = Put {
        key: format!("rating/{number:06}/{:06}", puts % 10_000).into_bytes(),
        value: vec![7; 40],
    };
    let path = PathAndQuery::from_static("/etcdserverpb.KV/Put");
    client
        .unary(tonic::Request::new(message), path, Puts)
        .await?;
    Ok(())
}

fn free() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_put_is_encoded_as_protobuf_has_it() {
        let put = Put {
            key: b"key".to_vec(),
            value: vec![7; 40],
        };
        let mut bytes = Vec::new();
        put.encode(&mut bytes);
        assert_eq!(bytes[..7], *b"\x0a\x03key\x12\x28");
        assert_eq!(bytes[7..], [7; 40]);
    }
}
