//! The decision and its proof.

use std::{marker::PhantomData, sync::Arc};

use crate::{
    domain::{Permission, Principal},
    error::{Code, Coded},
};

/// Calling one tool.
#[derive(Debug, Clone, Copy)]
pub struct CallTool;

/// Reading resources of one source, and seeing which there are.
#[derive(Debug, Clone, Copy)]
pub struct ReadResource;

/// Getting one prompt.
#[derive(Debug, Clone, Copy)]
pub struct GetPrompt;

/// Proof that a caller may do `D`; only [`decide`] makes one.
///
/// Whatever must not run unchecked takes a `&Permit<D>`, so forgetting the check does not compile.
#[derive(Debug)]
pub struct Permit<D> {
    principal: Arc<Principal>,
    deed: PhantomData<D>,
}

impl<D> Permit<D> {
    /// Whose permit this is.
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }
}

/// Lets `caller` do something that takes the permission `needs`.
///
/// # Errors
/// [`Denied`] if the caller does not hold it. There is no other way in: no role is exempt.
pub fn decide<D>(caller: &Arc<Principal>, needs: Permission) -> Result<Permit<D>, Denied> {
    if caller.permissions.contains(needs) {
        Ok(Permit { principal: Arc::clone(caller), deed: PhantomData })
    } else {
        Err(Denied { missing: needs })
    }
}

/// The caller is known and may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a permission is missing")]
pub struct Denied {
    /// The permission that would have let it.
    pub missing: Permission,
}

impl Coded for Denied {
    fn code(&self) -> Code {
        Code::Forbidden
    }
}

/// A permit for unit tests of tools, by the same decision: `ada` holds one permission and asks for it.
#[cfg(test)]
pub(crate) fn permit_for_tests<D>() -> Permit<D> {
    let catalogue = crate::domain::Catalogue::new::<&str>(&[]).unwrap();
    let needs = catalogue.find("weather:read").unwrap();
    let ada = Principal {
        id: "ada".parse().unwrap(),
        kind: crate::domain::PrincipalKind::Local,
        client: "tests".into(),
        credential: "none".into(),
        roles: Vec::new(),
        permissions: [needs].into_iter().collect(),
        reach: [needs].into_iter().collect(),
        recorded: crate::domain::Recorded::default(),
    };
    decide(&Arc::new(ada), needs).unwrap()
}
