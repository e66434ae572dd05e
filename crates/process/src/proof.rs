//! How two programs show each other that they have the same cluster key.
//!
//! Once for each stream between them, before anything else is said: both Hellos bear a nonce,
//! and each side a code over its role, the address that was called, and the ids and nonces of
//! both. So a code that was heard elsewhere, on another stream or from the other side, proves
//! nothing; nor does one that somebody passes on who was called at an address of his own.

use backfence_gossip::ReplicaId;
use backfence_wire::v1;

use crate::{Address, ClusterKey, Domain, Subkey};

/// 32 random bytes, used once.
pub type Nonce = [u8; 32];

/// With what a program proves itself to others, and has them prove themselves.
#[derive(Clone, Debug, Default)]
pub struct NodeKey {
    key: Option<Subkey>,
    /// Who has no key is taken as well.
    accepts_keyless: bool,
}

/// What a stream is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rpc {
    /// Between replicas.
    Gossip = 1,
    /// From a front end to a replica.
    Serve = 2,
}

/// Why a program does not prove that it is of the cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unproved {
    /// It has no cluster key.
    Keyless,
    /// It has another one, or was not called at its address.
    Wrong,
    /// It has said something else than its proof.
    Silent,
}

/// The side that calls.
#[derive(Debug)]
pub struct Caller {
    key: NodeKey,
    rpc: Rpc,
    id: Option<ReplicaId>,
    address: Address,
    nonce: Nonce,
}

/// The side that is called: who it is, and where.
#[derive(Debug)]
pub struct Callee<'a> {
    /// What it is called for.
    pub rpc: Rpc,
    /// Who it is.
    pub id: ReplicaId,
    /// Where others reach it.
    pub address: &'a Address,
}

/// What the called side says in its Hello, and is still to hear.
#[derive(Debug)]
pub struct Answer {
    /// Its own.
    pub nonce: Nonce,
    /// Its own.
    pub proof: v1::Proof,
    /// What the caller has to say next.
    pub owed: Owed,
}

/// A proof that is still to come.
#[derive(Debug)]
pub struct Owed {
    key: Subkey,
    message: Vec<u8>,
}

impl NodeKey {
    /// Of a program with this cluster key.
    pub fn new(key: Option<&ClusterKey>) -> Self {
        Self {
            key: key.map(|key| key.subkey(Domain::Node)),
            accepts_keyless: false,
        }
    }

    /// The same, where who has no key is taken as well: while a cluster is given one.
    #[must_use]
    pub fn accepting_keyless(self, accepts_keyless: bool) -> Self {
        Self {
            accepts_keyless,
            ..self
        }
    }

    /// Whether there is a key.
    pub fn is_there(&self) -> bool {
        self.key.is_some()
    }

    /// Whether who has no key is taken as well.
    pub fn accepts_keyless(&self) -> bool {
        self.accepts_keyless
    }

    /// Begins a stream to who is called at `address`. `id` is that of a replica that calls.
    pub fn call(&self, rpc: Rpc, id: Option<ReplicaId>, address: &Address, nonce: Nonce) -> Caller {
        Caller {
            key: self.clone(),
            rpc,
            id,
            address: address.clone(),
            nonce,
        }
    }

    /// Answers the Hello of a caller with this id and nonce; `None` where nobody has to prove
    /// anything.
    ///
    /// # Errors
    ///
    /// [`Unproved`], and nothing more is to be said.
    pub fn answer(
        &self,
        own: &Callee<'_>,
        caller: Option<ReplicaId>,
        callers_nonce: &[u8],
        nonce: Nonce,
    ) -> Result<Option<Answer>, Unproved> {
        let Some(key) = &self.key else {
            return Ok(None);
        };
        let Some(nonces) = self.nonces(callers_nonce, |theirs| [theirs, nonce])? else {
            return Ok(None);
        };
        let message = |side| message(own.rpc, side, caller, own.id, &nonces, own.address);
        Ok(Some(Answer {
            nonce,
            proof: proof(key, &message(Side::Called)),
            owed: Owed {
                key: key.clone(),
                message: message(Side::Calling),
            },
        }))
    }

    /// Both nonces; `None` where the other has no key, and may do without.
    fn nonces(
        &self,
        theirs: &[u8],
        pair: impl FnOnce(Nonce) -> [Nonce; 2],
    ) -> Result<Option<[Nonce; 2]>, Unproved> {
        match theirs.try_into() {
            Ok(theirs) => Ok(Some(pair(theirs))),
            Err(_) if !theirs.is_empty() => Err(Unproved::Wrong),
            Err(_) if self.accepts_keyless => Ok(None),
            Err(_) => Err(Unproved::Keyless),
        }
    }

    /// Proves a description to who asks with this nonce; `None` where that is not wanted, or
    /// there is no key.
    pub fn prove(
        &self,
        address: &Address,
        nonce: &[u8],
        description: &v1::DescribeResponse,
    ) -> Option<v1::Proof> {
        let key = self.key.as_ref().filter(|_| nonce.len() == 32)?;
        Some(proof(key, &described(address, nonce, description)))
    }

    /// Whether a description is of a program of the cluster, which was asked at `address` with
    /// this nonce.
    ///
    /// # Errors
    ///
    /// [`Unproved`].
    pub fn check(
        &self,
        address: &Address,
        nonce: &Nonce,
        description: &v1::DescribeResponse,
    ) -> Result<(), Unproved> {
        match (&self.key, &description.proof) {
            (None, _) => Ok(()),
            (Some(_), None) if self.accepts_keyless => Ok(()),
            (Some(_), None) => Err(Unproved::Keyless),
            (Some(key), Some(proof)) => {
                verify(key, &described(address, nonce, description), &proof.mac)
            }
        }
    }
}

impl Caller {
    /// What its Hello says; nothing where it has no key.
    pub fn nonce(&self) -> Vec<u8> {
        match self.key.key {
            Some(_) => self.nonce.to_vec(),
            None => Vec::new(),
        }
    }

    /// Hears the called side's Hello. Gives what to say next, if anything.
    ///
    /// # Errors
    ///
    /// [`Unproved`], and nothing more is to be said.
    pub fn hear(&self, hello: &v1::Hello) -> Result<Option<v1::Proof>, Unproved> {
        let Some(key) = &self.key.key else {
            return Ok(None);
        };
        let pair = |theirs| [self.nonce, theirs];
        let Some(nonces) = self.key.nonces(&hello.nonce, pair)? else {
            return Ok(None);
        };
        let callee = hello.id.and_then(|id| id.try_into().ok());
        let callee: ReplicaId = callee.ok_or(Unproved::Wrong)?;
        let message = |side| message(self.rpc, side, self.id, callee, &nonces, &self.address);
        let theirs = hello.proof.as_ref().ok_or(Unproved::Wrong)?;
        verify(key, &message(Side::Called), &theirs.mac)?;
        Ok(Some(proof(key, &message(Side::Calling))))
    }
}

impl Owed {
    /// Hears what the caller says after the Hello that answered its own.
    ///
    /// # Errors
    ///
    /// [`Unproved`].
    pub fn hear(&self, proof: Option<&v1::Proof>) -> Result<(), Unproved> {
        let proof = proof.ok_or(Unproved::Silent)?;
        verify(&self.key, &self.message, &proof.mac)
    }
}

impl Unproved {
    /// What it means, as `own` program says it of `other`, and what to do.
    pub fn between(self, own: impl std::fmt::Display, other: impl std::fmt::Display) -> String {
        let why = match self {
            Self::Keyless => format!("{own} has a cluster key, and {other} has none"),
            Self::Wrong => format!("{other} does not prove that it has the cluster key of {own}"),
            Self::Silent => format!("{other} has not proved that it has the cluster key of {own}"),
        };
        format!("{why}; start all programs of the cluster with the same --cluster-key FILE")
    }
}

/// What one side proves.
#[derive(Clone, Copy)]
enum Side {
    Calling = 1,
    Called = 2,
}

/// What a code of a stream is over: all parts but the last have one length.
fn message(
    rpc: Rpc,
    side: Side,
    caller: Option<ReplicaId>,
    callee: ReplicaId,
    nonces: &[Nonce; 2],
    address: &Address,
) -> Vec<u8> {
    let mut bytes = vec![rpc as u8, side as u8];
    for id in [caller, Some(callee)] {
        // No server has the number 0.
        put_id(&mut bytes, id.unwrap_or(ReplicaId::new(0, 0)));
    }
    bytes.extend(nonces.as_flattened());
    bytes.extend(address.to_string().bytes());
    bytes
}

/// What a code of a description is over: all that a starting replica goes by. What differs in
/// length follows its length.
fn described(address: &Address, nonce: &[u8], description: &v1::DescribeResponse) -> Vec<u8> {
    let v1::DescribeResponse {
        state,
        fingerprint,
        members,
        cluster,
        standing,
        ..
    } = description;
    let mut bytes = vec![3];
    bytes.extend(nonce);
    for part in [
        address.to_string().as_bytes(),
        fingerprint.as_bytes(),
        cluster,
    ] {
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend(part);
    }
    bytes.extend(standing.to_be_bytes());
    let state = state.as_ref();
    let has_updates = state.and_then(|state| state.replica_ts.as_ref());
    bytes.push(has_updates.is_some_and(|ts| !ts.entries.is_empty()).into());
    let id = state.and_then(|state| state.id);
    for id in id.iter().chain(members) {
        bytes.extend(id.server.to_be_bytes());
        bytes.extend(id.incarnation.to_be_bytes());
    }
    bytes
}

fn put_id(bytes: &mut Vec<u8>, id: ReplicaId) {
    bytes.extend(id.server.to_be_bytes());
    bytes.extend(id.incarnation.to_be_bytes());
}

fn proof(key: &Subkey, message: &[u8]) -> v1::Proof {
    let mac = key.code(message).to_vec();
    v1::Proof { mac }
}

fn verify(key: &Subkey, message: &[u8], mac: &[u8]) -> Result<(), Unproved> {
    key.verifies(message, mac)
        .then_some(())
        .ok_or(Unproved::Wrong)
}

#[cfg(test)]
#[path = "proof/tests.rs"]
mod tests;
