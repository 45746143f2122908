//! A worker's way through limits that several servers share.

use std::{sync::Arc, time::Instant};

use tokio::time::timeout_at;

use super::{Fleet, Lack, Wanted};
use crate::{
    actors::limiter::{
        InFlight, LimitError, Mode, Scope, Turnstile,
        bucket::Moment,
        messages::Lease,
        shared::ToolGate,
        table::Id,
        turnstile::{Stopped, enter},
    },
    domain::{Principal, PrincipalKind},
    store::StoreError,
};

/// How often one request asks for slices that others use up before it comes to it.
const ASKS: usize = 16;

impl Turnstile {
    /// Takes one request, or the cost of the tool, from the buckets of the principal, its key and the tool.
    ///
    /// # Errors
    /// [`LimitError`] if nobody can say; why nothing was taken comes inside.
    pub(in super::super) async fn pass_shared(
        &self,
        fleet: &Fleet,
        principal: &Arc<Principal>,
        (gate, tool): (Option<&ToolGate>, Option<&'static str>),
        now: Moment,
    ) -> Result<Result<Option<InFlight>, Stopped>, LimitError> {
        let user = Id::of_name(principal.id.as_str());
        let entered = match enter(gate, user) {
            Ok(entered) => entered,
            Err(stopped) => return Ok(Err(stopped)),
        };
        let limits = &self.shared().limits;
        let (limit, cost) = (limits.of(self.shared().class_of(principal)), gate.map_or(1, |gate| gate.cost));
        let is_key = principal.kind == PrincipalKind::ApiKey;
        let key = is_key.then(|| Id::of_name(&principal.credential));
        let tools_own = gate.and_then(|gate| gate.bucket.as_ref()).zip(tool);
        let wanted = [
            Some(Wanted { scope: Scope::User, id: user, limit, cost }),
            key.map(|id| Wanted { scope: Scope::Key, id, limit, cost }),
            tools_own.map(|((_, class), name)| Wanted {
                scope: Scope::Tool,
                id: Id::of_name(name),
                limit: limits.of(*class),
                cost,
            }),
        ];
        match fleet.take(&wanted, now) {
            Ok(()) => Ok(Ok(entered)),
            // Boxed, as it is rare: the future of every request would carry it.
            Err(lack) => Ok(Box::pin(self.ask_for(fleet, wanted, lack)).await?.map(|()| entered)),
        }
    }

    /// Has the store asked for what was lacking, and takes again.
    ///
    /// # Errors
    /// [`LimitError`] if nobody can say; why nothing was taken comes inside.
    pub(in super::super) async fn ask_for(
        &self,
        fleet: &Fleet,
        wanted: [Option<Wanted>; 3],
        mut lack: Lack,
    ) -> Result<Result<(), Stopped>, LimitError> {
        let until = Instant::now() + fleet.wait();
        for _ in 0..ASKS {
            let one = match lack {
                Lack::Short(short, id) => return Ok(Err(Stopped::by(short, id))),
                Lack::Lost if self.shared().mode != Mode::Enforce => return Ok(Ok(())),
                Lack::Lost => return Err(lost().into()),
                Lack::Ask(one) => one,
            };
            let taken = match timeout_at(until.into(), self.seat().ask(Lease(one))).await {
                Ok(asked) => match asked? {
                    Ok(()) => fleet.take(&wanted, self.moment()),
                    Err(StoreError::Corrupt(_)) => fleet.take_alone(&wanted, self.moment()),
                    Err(error) => return Err(error.into()),
                },
                // Not known to be lost: what this server gave away by itself might be too much.
                Err(_elapsed) if fleet.allows_on_loss() || self.shared().mode != Mode::Enforce => Ok(()),
                Err(_elapsed) => return Err(StoreError::Busy.into()),
            };
            match taken {
                Ok(()) => return Ok(Ok(())),
                Err(still) => lack = still,
            }
        }
        // Others were faster each time: the bucket is all but empty.
        let who = wanted.into_iter().flatten().next().map_or(Id([0; 16]), |one| one.id);
        Ok(Err(Stopped::for_room(who, 1)))
    }
}

fn lost() -> StoreError {
    StoreError::Unavailable("shared limits cannot be asked for".into())
}
