//! Who it is, in so few bytes that a million of them can be remembered; and which server this is.

use std::{fs, io, net::IpAddr, path::Path};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::files;

/// An identity in 16 bytes: an address as it is, a name by its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::actors) struct Id(pub(in crate::actors) [u8; 16]);

impl Id {
    /// The identity of an address: IPv6 by its /64, which is what one subscriber gets; IPv4-mapped is IPv4.
    /// Requests without an address are all one.
    pub(in crate::actors) fn of_address(ip: Option<IpAddr>) -> Self {
        Self(match ip.map(|ip| ip.to_canonical()) {
            Some(IpAddr::V4(ip)) => ip.to_ipv6_mapped().octets(),
            Some(IpAddr::V6(ip)) => (u128::from_be_bytes(ip.octets()) & !u128::from(u64::MAX)).to_be_bytes(),
            None => [0xff; 16],
        })
    }

    /// The identity of the site that this address belongs to: IPv6 by its /48, of which one subscriber may have all;
    /// everything else is a site of its own.
    pub(in crate::actors) fn site(self) -> Self {
        const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
        let Self(mut bytes) = self;
        if !bytes.starts_with(&MAPPED) && bytes != [0xff; 16] {
            bytes.iter_mut().skip(6).for_each(|byte| *byte = 0);
        }
        Self(bytes)
    }

    /// The identity of a name: no two names of one digest can be found in practice.
    pub(in crate::actors) fn of_name(name: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(name).into();
        let mut id = [0; 16];
        id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Self(id)
    }
}

/// What tells this data directory from any other on the same store, wherever it is: made once, and kept in `tasks/id`.
///
/// # Errors
/// Whatever the system says.
pub(in crate::actors) fn of_data_dir(data_dir: &Path) -> io::Result<String> {
    let folder = data_dir.join("tasks");
    files::private_dir(&folder)?;
    let path = folder.join("id");
    if !fs::exists(&path)? {
        files::place_once(&path, Uuid::new_v4().simple().to_string().as_bytes())?;
    }
    let id = fs::read_to_string(&path)?;
    if id.trim().is_empty() { Err(io::ErrorKind::InvalidData.into()) } else { Ok(id.trim().to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Id {
        Id::of_address(Some(text.parse().unwrap()))
    }

    #[test]
    fn an_address_is_its_subscriber() {
        assert_eq!(id("2001:db8:1:2::1"), id("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(id("2001:db8:1:2::1"), id("2001:db8:1:3::1"));
        assert_eq!(id("::ffff:192.0.2.1"), id("192.0.2.1"));
        assert_ne!(id("192.0.2.2"), id("192.0.2.1"));
        assert_ne!(id("192.0.2.1"), id("::1"));
        assert_ne!(Id::of_address(None), id("ffff:ffff:ffff:ffff::"));
    }

    #[test]
    fn a_site_is_a_48_and_an_ipv4_address_is_one() {
        assert_eq!(id("2001:db8:1:2::1").site(), id("2001:db8:1:ffff::1").site());
        assert_ne!(id("2001:db8:1:2::1").site(), id("2001:db8:2:2::1").site());
        assert_ne!(id("192.0.2.1").site(), id("192.0.2.2").site());
        assert_ne!(id("::1").site(), id("192.0.2.1").site());
        assert_eq!(Id::of_address(None).site(), Id::of_address(None));
    }
}
