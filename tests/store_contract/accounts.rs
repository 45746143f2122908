//! Accounts as every backend keeps them: made once, changed with a check, told.

use portcullis::{
    domain::{Subject, Timestamp},
    store::{ChangeKind, Revocation, RevocationTarget, StoreError, Stores, User, UserChange},
};

use super::{Backend, backends, live, sqlite, user, wait};

fn with_roles(name: &str, roles: &[&str]) -> User {
    User { roles: roles.iter().map(|&role| role.into()).collect(), ..user(name) }
}

fn change(stores: &Stores, name: &Subject, change: UserChange) -> Result<(), StoreError> {
    wait(stores.users.change(name, &change, &["admin".into(), "owner".into()]))
}

fn told(stores: &Stores) -> Vec<ChangeKind> {
    wait(stores.feed.changes_after(0)).unwrap().into_iter().map(|change| change.what).collect()
}

#[test]
fn an_account_is_added_once_and_keeps_its_password_when_its_data_is_replaced() {
    for Backend { name, stores, .. } in backends() {
        let ann = user("ann");
        assert_eq!(wait(stores.users.proof(&ann.username)), Ok(None), "{name}");
        assert_eq!(wait(stores.users.add(&ann, "digest", false)), Ok(true), "{name}");
        let again = wait(stores.users.add(&user("ann"), "other", false));
        assert!(matches!(again, Err(StoreError::Taken(_))), "{name}");
        let other_id = User { id: ann.id, ..user("bob") };
        assert!(matches!(wait(stores.users.add(&other_id, "x", false)), Err(StoreError::Taken(_))), "{name}");
        wait(stores.users.put(&ann)).unwrap();
        let proof = Some((ann.clone(), Some("digest".to_owned())));
        assert_eq!(wait(stores.users.proof(&ann.username)), Ok(proof), "{name}");
        assert_eq!(told(&stores).len(), 2, "{name}");

        let login = |hash, at| wait(stores.users.note_login(&ann.username, hash, Timestamp::from_secs(at)));
        assert_eq!((login("digest", 9), login("older", 10)), (Ok(true), Ok(false)), "{name}");
        let known = wait(stores.users.find(&ann.username)).unwrap().unwrap();
        assert_eq!(known.last_login, Some(Timestamp::from_secs(9)), "{name}");
        assert_eq!(told(&stores).len(), 2, "{name}: a login changes nothing for anybody");
        wait(stores.users.put(&User { active: false, ..known })).unwrap();
        let late = wait(stores.users.note_login(&ann.username, "digest", Timestamp::from_secs(11)));
        assert_eq!(late, Ok(false), "{name}: disabled while the password was looked at");
    }
}

#[test]
fn the_first_account_is_made_only_where_there_is_none() {
    for Backend { name, stores, .. } in backends() {
        assert_eq!(wait(stores.users.add(&user("admin"), "digest", true)), Ok(true), "{name}");
        assert_eq!(wait(stores.users.add(&user("other"), "digest", true)), Ok(false), "{name}");
        assert_eq!(wait(stores.users.page(1, 10)).unwrap().1, 1, "{name}");
    }
}

#[test]
fn the_last_active_administrator_keeps_role_and_account() {
    for Backend { name, stores, .. } in backends() {
        let ann = with_roles("ann", &["user", "admin"]);
        for one in [&ann, &with_roles("bob", &["owner"]), &with_roles("user", &["user"])] {
            wait(stores.users.add(one, "digest", false)).unwrap();
        }
        let (ann, bob) = (ann.username, "bob".parse().unwrap());
        change(&stores, &bob, UserChange::Active(false)).unwrap();
        let before = told(&stores).len();
        let last = Err(StoreError::LastAdministrator);
        assert_eq!(change(&stores, &ann, UserChange::Active(false)), last, "{name}");
        assert_eq!(change(&stores, &ann, UserChange::Roles(vec!["user".into()])), last, "{name}");
        assert_eq!(told(&stores).len(), before, "{name}: nothing changed");
        assert!(wait(stores.users.find(&ann)).unwrap().unwrap().active, "{name}");

        change(&stores, &ann, UserChange::Roles(vec!["owner".into()])).unwrap();
        change(&stores, &bob, UserChange::Active(true)).unwrap();
        change(&stores, &ann, UserChange::Active(false)).unwrap();
        assert_eq!(change(&stores, &bob, UserChange::Roles(vec![])), last, "{name}");
        change(&stores, &"user".parse().unwrap(), UserChange::Active(false)).unwrap();
        let nobody = change(&stores, &"nobody".parse().unwrap(), UserChange::Active(true));
        assert!(matches!(nobody, Err(StoreError::Missing(_))), "{name}");
    }
}

#[test]
fn two_administrators_who_disable_each_other_at_once_do_not_both_succeed() {
    for Backend { name, stores, .. } in backends() {
        let names = ["ann", "bob"].map(|name| name.parse::<Subject>().unwrap());
        for one in &names {
            wait(stores.users.add(&with_roles(one.as_str(), &["admin"]), "digest", false)).unwrap();
        }
        let disable = |one: &Subject| change(&stores, one, UserChange::Active(false)).is_ok();
        let done = std::thread::scope(|threads| {
            let both = names.each_ref().map(|one| threads.spawn(move || disable(one)));
            both.map(|thread| thread.join().unwrap())
        });
        assert_eq!(done.iter().filter(|done| **done).count(), 1, "{name}");
    }
}

#[test]
fn another_password_takes_back_what_was_issued_before() {
    for Backend { name, stores, .. } in backends() {
        let ann = user("ann").username;
        wait(stores.users.add(&user("ann"), "digest", false)).unwrap();
        let revocation = Revocation {
            target: RevocationTarget::Subject("ann".into()),
            at: Timestamp::from_secs(5),
            until: Timestamp::from_secs(50),
        };
        let new = UserChange::Password { hash: "new".into(), revocation: revocation.clone() };
        change(&stores, &ann, new).unwrap();
        assert_eq!(wait(stores.users.proof(&ann)).unwrap().unwrap().1.as_deref(), Some("new"), "{name}");
        assert_eq!(live(&stores, 6), [revocation.clone()].into(), "{name}");
        assert!(told(&stores).contains(&ChangeKind::Revoked(revocation)), "{name}");
    }
}

#[test]
fn a_password_survives_reopening() {
    let dir = tempfile::tempdir().unwrap();
    wait(sqlite(dir.path()).users.add(&user("ann"), "digest", false)).unwrap();
    let proof = wait(sqlite(dir.path()).users.proof(&"ann".parse().unwrap())).unwrap().unwrap();
    assert_eq!(proof.1.as_deref(), Some("digest"));
}
