//! Whether a server is ready, for gRPC health checks.

use tonic_health::{
    ServingStatus,
    pb::health_server::HealthServer,
    server::{HealthReporter, HealthService},
};

/// A server's readiness. A clone is the same one.
///
/// It is not ready (`NOT_SERVING`) until it says so, and not any more once
/// [`serve`](crate::serve) drains. A check without a service's name asks for the
/// whole server.
#[derive(Clone, Debug)]
pub struct Health {
    reporter: HealthReporter,
    services: Vec<String>,
}

impl Health {
    /// Not ready. `services` are full names, such as `backfence.v1.Registry`.
    pub async fn new(services: &[&str]) -> Self {
        let whole_server = "";
        let health = Self {
            reporter: HealthReporter::new(),
            services: [whole_server]
                .iter()
                .chain(services)
                .map(|&name| name.to_owned())
                .collect(),
        };
        health.not_ready().await;
        health
    }

    /// From now on checks are answered with `SERVING`.
    pub async fn ready(&self) {
        self.set(ServingStatus::Serving).await;
    }

    /// From now on checks are answered with `NOT_SERVING`.
    pub async fn not_ready(&self) {
        self.set(ServingStatus::NotServing).await;
    }

    pub(crate) fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }

    async fn set(&self, status: ServingStatus) {
        for service in &self.services {
            self.reporter.set_service_status(service, status).await;
        }
    }
}
