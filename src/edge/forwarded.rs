//! What proxies say of those before them: `X-Forwarded-For`, and `Forwarded` (RFC 7239).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// One station on the way to us, the nearest one last; `None` where it does not say its address.
pub(super) type Station = Option<IpAddr>;

/// The stations of one `X-Forwarded-For`.
pub(super) fn x_forwarded_for(value: &str) -> Vec<Station> {
    value.split(',').map(|one| node(one.trim())).collect()
}

/// The stations of one `Forwarded`. A value that is not what the RFC says has one station, which says nothing:
/// where its parts begin and end is then anybody's guess.
pub(super) fn forwarded(value: &str) -> Vec<Station> {
    let Some(elements) = split(value, ',') else { return vec![None] };
    elements.into_iter().map(station).collect()
}

/// The address behind the one `for=` of an element.
fn station(element: &str) -> Station {
    let pairs = split(element, ';')?;
    let mut named = pairs.iter().filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("for").then_some(value)
    });
    let value = named.next()?;
    if named.next().is_some() {
        return None;
    }
    match value.strip_prefix('"') {
        // No address needs an escape, so whoever writes one is up to something.
        Some(quoted) => node(quoted.strip_suffix('"').filter(|inner| !inner.contains(['"', '\\']))?),
        // Without quotes there can be neither a colon nor a bracket in it.
        None => value.parse().ok().filter(IpAddr::is_ipv4),
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`; whoever hides behind
/// `unknown` or `_name` says nothing.
fn node(text: &str) -> Station {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(with_port).or_else(bracketed)
}

/// The parts of `text` between marks that stand outside quotes; `None` if a quote does not end.
fn split(text: &str, mark: char) -> Option<Vec<&str>> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text.split(|c: char| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => return c == mark && !quoted,
        }
        false
    });
    let parts: Vec<&str> = parts.map(str::trim).collect();
    (!quoted).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(stations: &[Station]) -> Vec<String> {
        stations.iter().map(|one| one.map_or_else(|| "-".to_owned(), |ip| ip.to_string())).collect()
    }

    #[test]
    fn stations_are_read_with_and_without_ports() {
        let value = "192.0.2.1, 192.0.2.2:80 ,2001:db8::1,[2001:db8::2],[2001:db8::3]:443,unknown,_x,1.2.3,";
        let found = x_forwarded_for(value);
        assert_eq!(
            shown(&found),
            ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8::3", "-", "-", "-", "-"]
        );
    }

    #[test]
    fn forwarded_is_read_as_its_rfc_writes_it() {
        for (value, stations) in [
            ("for=192.0.2.43, for=198.51.100.17", &["192.0.2.43", "198.51.100.17"][..]),
            ("For=\"[2001:db8:cafe::17]:4711\"", &["2001:db8:cafe::17"]),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", &["192.0.2.60"]),
            ("proto=http ; for=\"192.0.2.60:80\"", &["192.0.2.60"]),
            ("for=_gazonk, for=unknown, by=203.0.113.43", &["-", "-", "-"]),
            ("for=\"_mdn,for=1.2.3.4\", for=192.0.2.1", &["-", "192.0.2.1"]),
            ("for=\"a\\\",for=1.2.3.4\", for=192.0.2.1", &["-", "192.0.2.1"]),
            ("for=192.0.2.1;for=192.0.2.2", &["-"]),
            ("for=[2001:db8::1]", &["-"]),
            ("for=192.0.2.1:80", &["-"]),
            ("for=\"192.0.2.1", &["-"]),
            ("for=192.0.2.1, for=\"192.0.2.2", &["-"]),
            ("for = 192.0.2.1", &["-"]),
            ("", &["-"]),
        ] {
            assert_eq!(shown(&forwarded(value)), stations, "{value}");
        }
    }
}
