//! Limits that several servers share, with a store that is busy, slow or full of others.

use super::{
    super::{
        OnLoss, Scope,
        bucket::{Limit, Moment},
        fleet::{Fleet, Wanted},
        table::Id,
    },
    rate,
};

fn wanted(scope: Scope, id: u8) -> Wanted {
    Wanted { scope, id: Id([id; 16]), limit: Limit::new(rate(80, 10.0)), cost: 1 }
}

/// Under whose id the store is asked.
fn asked_as(fleet: &Fleet, scope: Scope, id: u8) -> [u8; 16] {
    let placed = fleet.placed(wanted(scope, id));
    let asked = fleet.ask(&placed, Moment::default()).take_question().remove(0).id;
    assert_eq!(asked, placed.id.0, "who waits together and what is asked are the same");
    asked
}

#[test]
fn a_fleets_addresses_push_out_no_user_and_who_has_no_place_shares_one_bucket() {
    let fleet = Fleet::new(OnLoss::default(), 2);
    for id in [1, 2] {
        assert_eq!(asked_as(&fleet, Scope::Address, id), [id; 16]);
    }
    for id in [3, 4] {
        assert_eq!(asked_as(&fleet, Scope::Address, id), [0xff; 16], "there is no place");
    }
    for id in [1, 2] {
        assert_eq!(asked_as(&fleet, Scope::User, id), [id; 16], "users have places of their own");
    }
    assert_eq!(asked_as(&fleet, Scope::Address, 1), [1; 16], "who has a place keeps it");
}
