//! Placeholder of the room that decides; the lead's replaces it.

use std::{marker::PhantomData, sync::Arc};

use crate::domain::Principal;

/// Proof that a caller may do `D`.
#[derive(Debug)]
pub struct Permit<D> {
    principal: Arc<Principal>,
    deed: PhantomData<D>,
}

/// The deed of running a tool.
#[derive(Debug)]
pub struct CallTool;

impl<D> Permit<D> {
    /// Who may.
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }
}

/// A permit nobody decided on.
#[cfg(test)]
pub fn permit_for_tests<D>() -> Permit<D> {
    let principal = Principal {
        id: "ada".parse().unwrap(),
        kind: crate::domain::PrincipalKind::Local,
        client: "tests".into(),
        credential: "none".into(),
        roles: Vec::new(),
        permissions: crate::domain::PermissionSet::EMPTY,
    };
    Permit { principal: Arc::new(principal), deed: PhantomData }
}
