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
    /// Not ready. `services` are the full names of all that the server offers,
    /// such as `backfence.v1.Registry`; reflection lists them too.
    pub async fn new(services: &[&str]) -> Self {
        let health = Self {
            reporter: HealthReporter::new(),
            services: services.iter().map(|&name| name.to_owned()).collect(),
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

    pub(crate) fn services(&self) -> impl Iterator<Item = &str> {
        self.services.iter().map(String::as_str)
    }

    async fn set(&self, status: ServingStatus) {
        let whole_server = "";
        for service in self.services().chain([whole_server]) {
            self.reporter.set_service_status(service, status).await;
        }
    }
}
