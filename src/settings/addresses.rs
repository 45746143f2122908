//! The syntax of hosts, origins and URLs, and what is wrong with one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::Url;

/// Whether the scheme is `http` or `https` and there is a host.
pub(super) fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}

/// Whether the host of `url` is this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// The host and the port of an entry of `allowed_hosts`: a name, an IPv4 address or an IPv6 address in
/// brackets, each with or without a port. `None` if it is nothing of that.
pub(super) fn host_and_port(entry: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match entry.rsplit_once(':').filter(|_| !entry.ends_with(']')) {
        Some((host, digits)) if !digits.starts_with('+') => (host, Some(digits.parse().ok()?)),
        Some(_) => return None,
        None => (entry, None),
    };
    (is_host(host) && port != Some(0)).then_some((host, port))
}

/// Whether an entry of `allowed_hosts` names only this machine.
pub(super) fn names_loopback(entry: &str) -> bool {
    let Some((host, _)) = host_and_port(entry) else {
        return false;
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn is_host(text: &str) -> bool {
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<Ipv6Addr>().is_ok();
    }
    // A name whose last part is all digits is an address or nothing (WHATWG URL, "ends in a number").
    let ends_in_number = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if ends_in_number {
        return text.parse::<Ipv4Addr>().is_ok();
    }
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

/// Whether `text` is an origin as a browser sends it: scheme, host and port, in canonical form.
///
/// Schemes of applications (`vscode-webview://…`) are let through by shape, as no standard gives them a
/// canonical form.
pub(super) fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else {
        return false;
    };
    if matches!(scheme, "http" | "https") {
        return !text.contains('*')
            && Url::parse(text).is_ok_and(|url| url.origin().ascii_serialization() == text);
    }
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.+_:".contains(&b);
    scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(plain)
        && !authority.is_empty()
        && authority.bytes().all(plain)
}

/// What is wrong with `text` as the public address of this server: the problem and its fix.
///
/// It is compared byte by byte with what clients and tokens name (RFC 9728 §3.3, RFC 8707 §2), so there
/// is one way to write it.
pub(super) fn public_url_fault(text: &str) -> Option<(&'static str, String)> {
    let url = Url::parse(text).ok().filter(is_http)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Some(("holds a user name or password", "leave out what stands before the @".into()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Some(("holds a query or fragment", "end it before the ? or #".into()));
    }
    let canonical = url.as_str().trim_end_matches('/');
    if text.ends_with('/') {
        return Some(("ends with a slash", format!("write {canonical}")));
    }
    (canonical != text).then(|| ("is not in canonical form", format!("write {canonical}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses_with_or_without_a_port() {
        for (entry, port) in [
            ("localhost", None),
            ("mcp.example.org:8443", Some(8443)),
            ("127.0.0.1", None),
            ("[::1]", None),
            ("[2001:db8::1]:80", Some(80)),
        ] {
            assert_eq!(host_and_port(entry).map(|(_, port)| port), Some(port), "{entry}");
        }
        for entry in [
            "",
            "*",
            "*.example.org",
            "http://a",
            "a/b",
            "a b",
            "::1",
            "[::1",
            "[]",
            "a:",
            "a:0",
            "a:65536",
            "a:+1",
            "a:b",
            "-a",
            "a..b",
            "256.0.0.1",
            "127.1",
            "user@a",
            "a,b",
            "ü.de",
            ":80",
        ] {
            assert_eq!(host_and_port(entry), None, "{entry:?}");
        }
    }

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for entry in ["localhost", "localhost:80", "127.0.0.1", "127.9.9.9:1", "[::1]", "[::1]:8080"] {
            assert!(names_loopback(entry), "{entry}");
        }
        for entry in ["localhost.example.org", "10.0.0.1", "[::]", "0.0.0.0"] {
            assert!(!names_loopback(entry), "{entry}");
        }
    }

    #[test]
    fn an_origin_is_exact() {
        for text in ["https://a.example", "http://localhost:6274", "vscode-webview://1ab2"] {
            assert!(is_origin(text), "{text}");
        }
        for text in [
            "*",
            "null",
            "",
            "https://",
            "https://a.example/",
            "https://A.example",
            "https://a:443",
            "https://*.a",
            "a.example",
            "https://u@a",
            "x-y://a/b",
        ] {
            assert!(!is_origin(text), "{text:?}");
        }
    }

    #[test]
    fn a_public_url_has_one_spelling() {
        for text in ["http://127.0.0.1:8080", "https://mcp.example.org", "https://example.org/gate"] {
            assert_eq!(public_url_fault(text), None, "{text}");
        }
        for (text, fix) in [
            ("https://Example.org", "write https://example.org"),
            ("https://example.org:443", "write https://example.org"),
            ("https://example.org/", "write https://example.org"),
            ("https://example.org/a/", "write https://example.org/a"),
            ("https://u:hush@example.org", "leave out what stands before the @"),
            ("https://example.org?x=1", "end it before the ? or #"),
            ("https://example.org#x", "end it before the ? or #"),
        ] {
            assert_eq!(public_url_fault(text).unwrap().1, fix, "{text}");
        }
    }
}
