//! Showing the registry which program is behind an address.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use backfence_wire::v1::{
    self,
    registered_server::{Registered, RegisteredServer},
};
use tonic::{Request, Response, Status};

use crate::{ClaimKey, Secret};

/// The largest request, in bytes.
const MAX_REQUEST: usize = 1024;

/// The registrations of a program. A clone is of the same ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Presence {
    /// By instance. Held for one look or change.
    secrets: Arc<Mutex<BTreeMap<u64, Secret>>>,
    pub(crate) key: Option<ClaimKey>,
}

impl Presence {
    pub(crate) fn enter(&self, instance: u64, secret: Secret) {
        self.secrets().insert(instance, secret);
    }

    pub(crate) fn leave(&self, instance: u64) {
        self.secrets().remove(&instance);
    }

    pub(crate) fn service(&self) -> RegisteredServer<impl Registered + use<>> {
        RegisteredServer::new(self.clone()).max_decoding_message_size(MAX_REQUEST)
    }

    fn secrets(&self) -> MutexGuard<'_, BTreeMap<u64, Secret>> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tonic::async_trait]
impl Registered for Presence {
    async fn who(
        &self,
        request: Request<v1::WhoRequest>,
    ) -> Result<Response<v1::WhoResponse>, Status> {
        let request = request.into_inner();
        let secret = self.secrets().get(&request.instance).copied();
        let secret = secret.ok_or_else(|| Status::not_found("that is another program"))?;
        let keyed = self.key.as_ref();
        let keyed = keyed.map(|key| key.answer(&request, &secret.to_bytes()).to_vec());
        Ok(Response::new(v1::WhoResponse {
            code: secret.code(&request.nonce).to_vec(),
            keyed: keyed.unwrap_or_default(),
        }))
    }
}
