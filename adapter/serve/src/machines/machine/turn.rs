//! An exchange's turn in the instance: nobody else is in there until it is dropped.

use std::sync::Arc;

use proxy_wasm_adapter_embed::{Action, Event, ExchangeError, ExchangeId, Instance, Outcome};
use tokio::sync::{MutexGuard, mpsc};

use super::{Due, Lost, Machine, NotOpened, Numbered, State};
use crate::record::Record;

/// An exchange is in the instance.
pub(in crate::machines) struct Turn<'a> {
    machine: &'a Arc<Machine>,
    state: MutexGuard<'a, State>,
}

/// An exchange that was opened.
pub(in crate::machines) struct Opened<'a> {
    pub(in crate::machines) exchange: Numbered<ExchangeId>,
    pub(in crate::machines) due: Due,
    pub(in crate::machines) inbox: mpsc::UnboundedReceiver<Action>,
    /// Its first.
    pub(in crate::machines) turn: Turn<'a>,
}

impl Machine {
    /// Begins an exchange, in an instance that is made now where there is none.
    pub(in crate::machines) async fn open<'a>(
        self: &'a Arc<Self>,
        record: &Arc<Record>,
        open: impl FnOnce(&mut Instance) -> Result<(ExchangeId, Outcome), ExchangeError>,
    ) -> Result<Opened<'a>, NotOpened> {
        let mut state = self.warm().await?;
        let Some(live) = &mut state.live else { return Err(NotOpened::Lost) };
        match self.computing(|| open(&mut live.instance)) {
            Ok((id, outcome)) => {
                let (sender, inbox) = mpsc::unbounded_channel();
                live.exchanges.insert(id, sender);
                let exchange = Numbered { id, generation: live.generation };
                let due = self.carry_out(&mut state, outcome, Some(id), Some(record));
                Ok(Opened { exchange, due, inbox, turn: Turn { machine: self, state } })
            }
            Err(ExchangeError::Trapped(trapped)) => {
                self.lose(&mut state, &trapped);
                Err(NotOpened::Lost)
            }
            Err(error) => Err(NotOpened::Refused(error.to_string())),
        }
    }

    /// Waits for an exchange's turn. Returns it with what is in the exchange's inbox, which others let it do before.
    pub(in crate::machines) async fn turn(
        self: &Arc<Self>,
        inbox: &mut mpsc::UnboundedReceiver<Action>,
    ) -> (Vec<Action>, Turn<'_>) {
        let turn = Turn { machine: self, state: self.lock().await };
        // It is filled in turns of others alone.
        (std::iter::from_fn(|| inbox.try_recv().ok()).collect(), turn)
    }
}

impl Turn<'_> {
    /// Tells the instance of an exchange what came for that, and returns what it is to do.
    pub(in crate::machines) fn tell(
        &mut self,
        exchange: Numbered<ExchangeId>,
        record: &Arc<Record>,
        events: impl IntoIterator<Item = Event>,
    ) -> Result<Due, Lost> {
        if self.state.live_of(exchange).is_none() {
            return Err(Lost);
        }
        self.machine.tell(&mut self.state, Some(exchange.id), Some(record), events)
    }
}
