//! What a program with the cluster's key shows to the registry.
//!
//! A code is over everything that the request says, and the secret of the registration, which is
//! drawn for it alone. So a code that is overheard can only ask for the same again; and before
//! a name is given, the registry asks at its address, with a number of its own.

use backfence_wire::v1::{self, register_request::Wanted};

use crate::{ClusterKey, Domain, Subkey};

/// The key with which names are claimed at the registry.
#[derive(Clone, Debug)]
pub struct ClaimKey(Subkey);

/// A request about a name that bears a code.
pub trait Claimed {
    /// All that the request says, in one way only.
    fn claimed(&self) -> Vec<u8>;
    /// Where its code stands.
    fn code(&mut self) -> &mut Vec<u8>;
}

impl ClaimKey {
    /// Of this cluster.
    pub fn new(key: &ClusterKey) -> Self {
        Self(key.subkey(Domain::RegistryName))
    }

    /// Adds its code to a request.
    pub fn sign(&self, request: &mut impl Claimed) {
        let code = self.0.code(&request.claimed());
        *request.code() = code.to_vec();
    }

    /// Whether who sends the request has the key.
    pub fn verifies<T: Claimed + Clone>(&self, request: &T) -> bool {
        let code = std::mem::take(request.clone().code());
        self.0.verifies(&request.claimed(), &code)
    }

    /// The answer to the registry's number, of a registration with this secret.
    pub fn answer(&self, request: &v1::WhoRequest, secret: &[u8]) -> [u8; 32] {
        self.0.code(&who(request, secret))
    }

    /// Whether this is that answer.
    pub fn is_answer(&self, request: &v1::WhoRequest, secret: &[u8], answer: &[u8]) -> bool {
        self.0.verifies(&who(request, secret), answer)
    }
}

impl Claimed for v1::RegisterRequest {
    fn claimed(&self) -> Vec<u8> {
        let (kind, name) = match &self.wanted {
            Some(Wanted::Name(name)) => (1, name.as_str()),
            Some(Wanted::Numbered(prefix)) => (2, prefix.as_str()),
            None => (3, ""),
        };
        let lease = self.lease_ms.to_be_bytes();
        let parts = [name.as_bytes(), self.address.as_bytes(), &lease];
        message(kind, self.instance, &self.secret, &parts)
    }

    fn code(&mut self) -> &mut Vec<u8> {
        &mut self.code
    }
}

impl Claimed for v1::RenewRequest {
    fn claimed(&self) -> Vec<u8> {
        message(4, self.instance, &self.secret, &[self.name.as_bytes()])
    }

    fn code(&mut self) -> &mut Vec<u8> {
        &mut self.code
    }
}

impl Claimed for v1::UnregisterRequest {
    fn claimed(&self) -> Vec<u8> {
        message(5, self.instance, &self.secret, &[self.name.as_bytes()])
    }

    fn code(&mut self) -> &mut Vec<u8> {
        &mut self.code
    }
}

fn who(request: &v1::WhoRequest, secret: &[u8]) -> Vec<u8> {
    message(6, request.instance, secret, &[&request.nonce])
}

/// The kind (1 byte), the instance (8 bytes), and each part after its length (4 bytes); numbers
/// with the most significant byte first.
fn message(kind: u8, instance: u64, secret: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(instance.to_be_bytes());
    for part in [secret].iter().chain(parts) {
        // Messages are shorter than 4 GiB.
        bytes.extend((part.len() as u32).to_be_bytes());
        bytes.extend(*part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> ClaimKey {
        ClaimKey::new(&ClusterKey::new(&[byte; 32]).unwrap())
    }

    #[test]
    fn a_code_is_for_one_request_only() {
        let asked = v1::RegisterRequest {
            wanted: Some(Wanted::Name("SERVER1".into())),
            address: "127.0.0.1:1".into(),
            instance: 7,
            secret: vec![1; 16],
            ..v1::RegisterRequest::default()
        };
        let mut signed = asked.clone();
        assert!(!key(1).verifies(&signed), "it bears no code");
        key(1).sign(&mut signed);
        assert!(key(1).verifies(&signed));
        assert!(!key(2).verifies(&signed), "another key");
        let code = signed.code.clone();
        let others = [
            v1::RegisterRequest {
                wanted: Some(Wanted::Numbered("SERVER1".into())),
                ..signed.clone()
            },
            v1::RegisterRequest {
                wanted: Some(Wanted::Name("SERVER112".into())),
                address: "7.0.0.1:1".into(),
                ..signed.clone()
            },
            v1::RegisterRequest {
                instance: 8,
                ..signed.clone()
            },
            v1::RegisterRequest {
                secret: vec![2; 16],
                ..signed
            },
        ];
        for other in others {
            assert!(!key(1).verifies(&other), "{other:?}");
        }
        let farewell = v1::UnregisterRequest {
            name: "SERVER1".into(),
            instance: 7,
            secret: vec![1; 16],
            code,
        };
        assert!(!key(1).verifies(&farewell));
        let mut renewal = v1::RenewRequest {
            name: "SERVER1".into(),
            instance: 7,
            secret: vec![1; 16],
            code: Vec::new(),
        };
        key(1).sign(&mut renewal);
        let farewell = v1::UnregisterRequest {
            code: renewal.code,
            ..farewell
        };
        assert!(!key(1).verifies(&farewell));
    }

    #[test]
    fn an_answer_is_to_one_number_only() {
        let asked = |nonce: u8, instance| v1::WhoRequest {
            instance,
            nonce: vec![nonce; 32],
        };
        let answer = key(1).answer(&asked(1, 1), &[5; 16]);
        assert!(key(1).is_answer(&asked(1, 1), &[5; 16], &answer));
        assert!(!key(1).is_answer(&asked(2, 1), &[5; 16], &answer));
        assert!(!key(1).is_answer(&asked(1, 2), &[5; 16], &answer));
        assert!(!key(1).is_answer(&asked(1, 1), &[6; 16], &answer));
        assert!(!key(2).is_answer(&asked(1, 1), &[5; 16], &answer));
    }
}
