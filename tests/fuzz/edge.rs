//! Headers: which host, which origin, which address, which credential.

use std::net::IpAddr;

use actix_web::{
    http::header::{HeaderMap, HeaderName, HeaderValue},
    test::TestRequest,
};
use portcullis::{
    auth::Credential,
    edge::{Field, Guard, Headers, HostRule, Proxies},
};

use super::driver::{Target, fingerprint};

const WORDS: &[&str] = &[
    "host: ",
    "origin: ",
    "accept: ",
    "authorization: ",
    "x-api-key: ",
    "x-forwarded-for: ",
    "forwarded: ",
    "mcp-name: ",
    "content-length: ",
    "localhost",
    "127.0.0.1",
    "[::1]",
    "gw.example.com:8443",
    "evil.example",
    "http://",
    "https://app.example.com",
    "for=",
    "for=\"[2001:db8::1]:80\"",
    "10.0.0.1",
    "192.0.2.7",
    "::ffff:10.0.0.1",
    "unknown",
    "Bearer ",
    "mcp_",
    "\n",
    ";",
    ", ",
];
const HOSTS: [&str; 4] = ["localhost", "127.0.0.1", "[::1]", "gw.example.com:8443"];
const ORIGIN: &str = "https://app.example.com";

fn seeds() -> Vec<Vec<u8>> {
    [
        "host: localhost:8080\norigin: http://localhost:3000\naccept: application/json, text/event-stream\nauthorization: Bearer a.b.c\nmcp-name: x",
        "host: gw.example.com:8443\norigin: https://app.example.com\nx-api-key: mcp_AAAA\nx-forwarded-for: 192.0.2.7, 10.0.0.2\nforwarded: for=192.0.2.7;proto=http, for=\"10.0.0.2:80\"",
        "Host: [::1]:1\nforwarded: for=\"[2001:db8::1]:4711\"\ncontent-length: 7\ncontent-length: 8\naccept: */*;q=0.1",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

/// One header a line, as far as HTTP lets it through.
fn headers(lines: &[u8]) -> Vec<(HeaderName, HeaderValue)> {
    let lines = lines.split(|byte| *byte == b'\n');
    let parted = lines.filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(line[..at].trim_ascii()).ok()?;
        Some((name, HeaderValue::from_bytes(line[at + 1..].trim_ascii()).ok()?))
    });
    parted.take(100).collect()
}

fn guard() -> Guard {
    Guard::new(HOSTS.map(|host| HostRule::parse(host).unwrap()).into(), vec![ORIGIN.to_owned()])
}

/// Whether `host` is one of ours, judged by taking it apart from its end.
fn is_ours(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let is_port = |port: &str| {
        !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()
    };
    HOSTS[..3]
        .iter()
        .any(|name| host == **name || host.rsplit_once(':').is_some_and(|(h, p)| h == *name && is_port(p)))
        || host
            .rsplit_once(':')
            .is_some_and(|(h, p)| h == "gw.example.com" && is_port(p) && p.parse::<u16>() == Ok(8443))
}

fn is_trusted(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 10)
}

/// What a header that must stand once is found as.
fn found(all: &HeaderMap, name: &str, field: Field<'_>) -> u8 {
    let values: Vec<_> = all.get_all(name).collect();
    match field {
        Field::Absent => assert!(values.is_empty()),
        Field::One(value) => assert_eq!(values, [value]),
        Field::Many => assert!(values.len() > 1),
    }
    values.len().min(2) as u8
}

#[test]
fn headers_let_in_nobody_who_is_not_meant() {
    let guard = guard();
    let target = "/mcp".parse().unwrap();
    Target { name: "headers", seeds: seeds(), words: WORDS }.fuzz(|lines| {
        let mut all = HeaderMap::new();
        headers(lines).into_iter().for_each(|(name, value)| all.append(name, value));
        let read = Headers::of(&all);
        let kinds = [
            found(&all, "host", read.host),
            found(&all, "origin", read.origin),
            found(&all, "authorization", read.authorization),
            found(&all, "x-api-key", read.api_key),
            found(&all, "mcp-name", read.name),
            found(&all, "content-length", read.content_length),
        ];
        assert_eq!(read.accepts.is_some(), all.contains_key("accept"));
        let checked = guard.check(&read, &target);
        if checked.is_ok() {
            assert!(is_ours(read.host.text().unwrap()), "{:?}", read.host);
            let fits = |origin: &str| {
                origin == ORIGIN || origin.split_once("://").is_some_and(|(_, host)| is_ours(host))
            };
            assert!(!read.origin.is_present() || fits(read.origin.text().unwrap()), "{:?}", read.origin);
        }
        let credential = Credential::of(&read, "");
        if let Ok(Credential::Bearer(text) | Credential::ApiKey(text)) = &credential {
            let value = match (read.authorization, read.api_key) {
                (Field::One(value), Field::Absent) | (Field::Absent, Field::One(value)) => value.as_bytes(),
                other => panic!("one credential, from one header: {other:?}"),
            };
            assert!(value.ends_with(text.as_bytes()));
        }
        fingerprint((
            kinds,
            checked.map_err(|error| error.to_string()),
            credential.map(|known| known.kind()).map_err(|error| error.to_string()),
        ))
    });
}

#[test]
fn nobody_becomes_a_proxy_by_saying_so() {
    let proxies = Proxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
    Target { name: "forwarded", seeds: seeds(), words: WORDS }.fuzz(|lines| {
        let request = |peer: &str| {
            let request = TestRequest::default().peer_addr(format!("{peer}:9").parse().unwrap());
            headers(lines).into_iter().fold(request, |request, header| request.append_header(header))
        };
        let stranger = request("198.51.100.9").to_http_request();
        assert_eq!(proxies.client_of(&stranger), Some("198.51.100.9".parse().unwrap()));
        let peer: IpAddr = "10.0.0.9".parse().unwrap();
        let client = proxies.client_of(&request("10.0.0.9").to_http_request()).unwrap();
        assert!(client == peer || !is_trusted(client), "{client}");
        assert!(!matches!(client, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()), "{client}");
        assert!(proxies.proven(Some(client)).is_none_or(|proven| !is_trusted(proven)));
        fingerprint((client == peer, client.is_ipv4(), headers(lines).len().min(6)))
    });
}
