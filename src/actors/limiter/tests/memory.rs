//! What a million identities take.

use std::{mem::size_of, sync::Arc};

use super::super::{
    bucket::{Bucket, Moment},
    table::{Id, Table},
};

#[test]
fn a_million_identities_take_no_more_than_was_said() {
    // What stands in the heap beside a bucket: the two counts of its `Arc`.
    let bucket = size_of::<Bucket>() + 2 * size_of::<usize>();
    // A place in the map: key, handle, and the byte that the map keeps of each.
    let place = size_of::<(Id, Arc<Bucket>)>() + 1;
    let table = Table::new(1 << 20, Bucket::new(0, Moment::default()));
    for n in 0..1_u128 << 20 {
        assert!(table.open(&Id(n.to_be_bytes()), || Bucket::new(0, Moment(1))).is_some());
    }
    assert!(table.is_at_its_end());
    let all = table.len() * bucket + table.places() * place;
    assert!(all / table.len() <= 128, "{} bytes each", all / table.len());
    table.sweep(Moment(1), |_, _| {});
    assert_eq!(table.len(), 0);
    assert!(table.places() * place < 1 << 20, "what a flood needed is given back");
}
