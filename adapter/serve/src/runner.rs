//! Where requests run: instances for WASI 0.2, with one request at a time, or for WASI 0.3, with several; or virtual machines,
//! with any number.

use std::sync::Arc;

use super::error::Error;
use super::instance::Recipe;
use super::machines::Machines;
use super::options::{Drive, Options};
use super::policy::{FailurePolicy, Policy};
use super::pool::Pool;
use super::program::{Handler, Program};
use super::tasks::Tasks;
use super::workers::{Load, Workers};

/// Where requests run.
#[derive(Clone)]
pub(super) enum Runner {
    Pool(Arc<Pool>),
    Workers(Arc<Workers>),
    Machines(Arc<Machines>),
}

impl Runner {
    /// What this component needs.
    pub(super) async fn start(
        component: &[u8],
        drive: Drive,
        recipe: Recipe,
        options: &Options,
        policy: Policy,
        tasks: Tasks,
    ) -> Result<Self, Error> {
        if drive == Drive::Exchange {
            return Ok(Self::Machines(Arc::new(Machines::start(component, recipe, options, policy, tasks).await?)));
        }
        let program =
            Program::new(component, options.max_concurrency, options.optimize.into(), options.cache.as_deref())?;
        if options.failure_policy == Some(FailurePolicy::Open) && !program.can_bypass() {
            return Err(match program.handler {
                Handler::V02(_) => Error::NoBypass,
                Handler::V03(_) => Error::NoBypassOn03,
            });
        }
        let reuse = options.reuse();
        match program.handler {
            Handler::V02(_) => Ok(Self::Pool(Arc::new(Pool::start(recipe, program, reuse, policy, tasks).await?))),
            Handler::V03(_) => {
                let load = Load { reuse, concurrency: options.max_instance_concurrency.unwrap_or(16) };
                let workers = Workers::start(recipe, program, load, policy, options.max_nesting).await?;
                Ok(Self::Workers(Arc::new(workers)))
            }
        }
    }

    /// Whether its instances are told when clients leave.
    pub(super) fn hears_of_departures(&self) -> bool {
        match self {
            Self::Pool(pool) => pool.hears_of_departures(),
            Self::Workers(workers) => workers.hears_of_departures(),
            Self::Machines(_) => true,
        }
    }

    /// Whether every request is answered 503 from now on.
    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Pool(pool) => pool.is_closed(),
            Self::Workers(workers) => workers.is_closed(),
            Self::Machines(machines) => machines.is_closed(),
        }
    }

    /// This host ends, with all that is still under way.
    pub(super) fn end(&self) {
        if let Self::Workers(workers) = self {
            workers.end();
        }
    }

    /// Tends idle instances, as long as it is polled. Those for WASI 0.3 wait for their own clocks.
    pub(super) async fn keep(self) {
        if let Self::Pool(pool) = self {
            pool.keep().await;
        }
    }

    /// Drops the instances that no request needed for a while. Those for WASI 0.3 end by themselves.
    pub(super) fn trim(&self) {
        if let Self::Pool(pool) = self {
            pool.trim();
        }
    }

    /// Waits until instances want more memory than all may have.
    pub(super) async fn is_pressed(&self) {
        match self {
            Self::Pool(pool) => pool.is_pressed().await,
            Self::Workers(workers) => workers.is_pressed().await,
            // Their number does not grow with the requests.
            Self::Machines(_) => std::future::pending().await,
        }
    }

    /// Drops idle instances.
    pub(super) fn drop_idle(&self) {
        if let Self::Pool(pool) = self {
            pool.drop_idle();
        }
    }
}
