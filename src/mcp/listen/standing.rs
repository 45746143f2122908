//! The credential that a stream was opened with, looked at again for as long as the stream is open.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
    time::Instant,
};

use crate::{
    auth::{Look, Proof},
    domain::{Principal, Timestamp},
    error::Code,
    house::House,
    mcp::{exchange::Exchange, refusal::Refusal},
};

/// Whoever has opened a stream, and until when it may go on.
pub(in crate::mcp) struct Standing {
    proof: RefCell<Option<Proof>>,
    principal: RefCell<Arc<Principal>>,
    epoch: Cell<u64>,
    ends: Cell<bool>,
}

impl Standing {
    /// Of the caller of this exchange.
    ///
    /// # Errors
    /// [`Refusal`]: its credential is not known any more, though it was verified a moment ago.
    pub(in crate::mcp) fn of(exchange: &Exchange<'_>, principal: &Arc<Principal>) -> Result<Self, Refusal> {
        let credential = exchange.credential()?;
        let proof = Proof::of(credential, &exchange.worker.cache.borrow());
        let busy = || Refusal::new(Code::Overloaded, "the server is overloaded, try again");
        Ok(Self {
            proof: RefCell::new(Some(proof.ok_or_else(busy)?)),
            principal: RefCell::new(Arc::clone(principal)),
            epoch: Cell::new(exchange.visit.epoch),
            ends: Cell::default(),
        })
    }

    /// Of somebody without a credential.
    #[cfg(test)]
    pub(super) fn for_tests(principal: Arc<Principal>) -> Self {
        let (proof, principal) = (RefCell::new(None), RefCell::new(principal));
        Self { proof, principal, epoch: Cell::default(), ends: Cell::default() }
    }

    /// Who it is, as far as is known.
    pub(in crate::mcp) fn principal(&self) -> Arc<Principal> {
        Arc::clone(&self.principal.borrow())
    }

    /// It may not go on.
    pub(in crate::mcp) fn end(&self) {
        self.ends.set(true);
    }

    /// Whether it may not go on.
    pub(in crate::mcp) fn has_ended(&self) -> bool {
        self.ends.get()
    }

    /// Whether its credential has to be held against what has changed; ends it if that has ended.
    pub(super) fn needs_renewal(&self, house: &House, at: (Timestamp, Instant)) -> bool {
        let proof = self.proof.borrow();
        match proof.as_ref().map(|proof| proof.holds(house.against(), self.epoch.get(), at)) {
            Some(Look::Holds) => false,
            Some(Look::Again) => true,
            Some(Look::Over) | None => {
                self.end();
                false
            }
        }
    }

    /// Holds its credential against what has changed; whoever has lost anything begins anew. Whether it sees other
    /// tools now.
    pub(super) async fn renew(&self, house: &House, now: Timestamp) -> bool {
        // Read before the credential is looked at, so that a change in between is seen the next time.
        let epoch = house.services.epoch.now();
        let Some(mut proof) = self.proof.take() else { return false };
        let renewed = proof.renew(house.against(), now).await;
        *self.proof.borrow_mut() = Some(proof);
        let Ok(principal) = renewed else {
            self.end();
            return false;
        };
        self.epoch.set(epoch);
        let before = std::mem::replace(&mut *self.principal.borrow_mut(), Arc::clone(&principal));
        let (had, has) = (before.permissions, principal.permissions);
        if had.intersection(has) != had {
            self.end();
        }
        house.views.tools_differ(had, has)
    }

    /// Ends it if the look at its credential did not come to an end.
    pub(super) fn end_if_unproved(&self) {
        if self.proof.borrow().is_none() {
            self.end();
        }
    }
}
