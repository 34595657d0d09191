//! The signals that end the process, the one that opens its files anew, and those that do nothing.

use tokio::signal;

/// The signals that tell the process to end. They count from when this was made.
#[cfg(unix)]
pub(crate) struct Signals {
    terminate: signal::unix::Signal,
    interrupt: signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub(crate) fn new() -> std::io::Result<Self> {
        let terminate = signal::unix::signal(signal::unix::SignalKind::terminate())?;
        let interrupt = signal::unix::signal(signal::unix::SignalKind::interrupt())?;
        Ok(Self { terminate, interrupt })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The signals that tell the process to end.
#[cfg(not(unix))]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        // Without a handler the process ends by the signal itself.
        if signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// From now on the process outlives SIGHUP, which a terminal sends that closes, and SIGUSR1 without an access log: as Envoy.
#[cfg(unix)]
pub(crate) fn outlive() -> std::io::Result<()> {
    // The handler stays when this is dropped.
    drop(signal::unix::signal(signal::unix::SignalKind::user_defined1())?);
    let mut hangups = signal::unix::signal(signal::unix::SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            tracing::warn!("SIGHUP changes nothing: restart to read files anew");
        }
    });
    Ok(())
}

/// There are no such signals.
#[cfg(not(unix))]
pub(crate) fn outlive() -> std::io::Result<()> {
    Ok(())
}

/// Waits until the process is told to end by SIGTERM or SIGINT; they count from when this is first polled.
///
/// # Errors
/// The system gives no signals.
pub async fn told_to_end() -> std::io::Result<()> {
    Signals::new()?.next().await;
    Ok(())
}

/// Calls this at each SIGUSR1, as long as it is polled: the access log's file was moved away, and a new one is to be opened.
#[cfg(unix)]
pub(super) async fn reopen(open: impl Fn()) {
    match signal::unix::signal(signal::unix::SignalKind::user_defined1()) {
        Ok(mut signals) => {
            while signals.recv().await.is_some() {
                open();
            }
        }
        Err(error) => tracing::warn!(%error, "the access log cannot be opened anew on SIGUSR1"),
    }
}

/// There is no such signal.
#[cfg(not(unix))]
pub(super) async fn reopen(_: impl Fn()) {
    std::future::pending::<()>().await;
}
