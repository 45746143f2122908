//! `[server]`: the main listener, its names, its limits and its TLS.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de::Error as _};
use url::Url;

use super::{
    addresses, guard,
    kind::{self, Kind},
    problem::Report,
    schema::Key,
    units,
};

const MS: Duration = Duration::from_millis(1);
/// Longest icon, bytes.
const MAX_ICON: usize = 64 << 10;
const TEN_MINUTES: Duration = Duration::from_secs(600);

/// The keys of `[server]`.
pub(super) const KEYS: &[Key] = &[
    Key::new("server.name", Kind::Text, "Name that clients are shown (serverInfo), 1 to 64 characters."),
    Key::new(
        "server.title",
        Kind::Optional,
        "Name that people read beside it, up to 64 characters; empty for none.",
    ),
    Key::new(
        "server.website_url",
        Kind::Optional,
        "Where clients are told that more about the server is found, an https URL; empty for none.",
    ),
    Key::new(
        "server.icons",
        Kind::Texts,
        "Pictures that clients may show for the server, https or data URIs of up to 64KiB; at most 8.",
    ),
    Key::new(
        "server.host",
        Kind::Address,
        "IP address to listen on. Only loopback needs neither TLS nor a trusted proxy.",
    ),
    Key::new("server.port", Kind::Whole(0, 65_535), "TCP port, 0 to 65535; 0 takes any free one."),
    Key::new(
        "server.workers",
        Kind::Whole(0, 1024),
        "Threads that serve requests, 0 to 1024; 0 is one for each core.",
    ),
    Key::new(
        "server.public_url",
        Kind::HttpUrl,
        "Address that clients use, without a slash at the end; all replicas share it, tokens are bound to \
         it.",
    ),
    Key::new(
        "server.allowed_hosts",
        Kind::Texts,
        "Host headers that are let in; one without a port matches every port. An empty list lets nobody \
         in.",
    ),
    Key::new(
        "server.allowed_origins",
        Kind::Texts,
        "Origin headers of browsers that are let in, such as https://app.example.org; a request without \
         Origin is no browser's.",
    ),
    Key::new(
        "server.trusted_proxies",
        Kind::Networks,
        "Addresses and networks of proxies whose forwarding headers are believed.",
    ),
    Key::new("server.max_body", Kind::Size(1 << 10, 64 << 20), "Largest request body, 1KiB to 64MiB."),
    Key::new(
        "server.request_timeout",
        Kind::Span(MS, TEN_MINUTES),
        "Time for a whole request, its body included, 1ms to 10m.",
    ),
    Key::new(
        "server.shutdown_grace",
        Kind::Span(MS, TEN_MINUTES),
        "Time that requests in flight get to finish when the server stops, 1ms to 10m.",
    ),
    Key::new(
        "server.drain_delay",
        Kind::Span(Duration::ZERO, TEN_MINUTES),
        "Time between a signal to stop and the stop, 0s to 10m, in which everything is served while /health/ready says \
         503 and connections end with their next answer: behind a load balancer longer than its checks take to \
         notice.",
    ),
    Key::new(
        "server.max_connections",
        Kind::Whole(1, 1_000_000),
        "Connections open at once on the main listener, 1 to 1000000.",
    ),
    Key::new(
        "server.max_answers",
        Kind::Size(16 << 20, 1 << 40),
        "Room for all answers over 64KiB together, 16MiB to 1TiB: half of it for those that are made ready or are on \
         their way to their clients, half for those that wait until there is room; one caller has a quarter of each. \
         A call that finds none is refused as overloaded.",
    ),
    Key::new(
        "server.tls.certificate",
        Kind::Optional,
        "PEM file with the certificate chain; empty serves without TLS.",
    ),
    Key::new(
        "server.tls.private_key",
        Kind::Optional,
        "PEM file with the key of the certificate, readable by nobody else; empty serves without TLS.",
    ),
];

/// `[server]`: the main listener, which serves `/mcp`, `/health` and the metadata of OAuth.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// Name that clients are shown, `serverInfo.name`; 1 to 64 characters.
    pub name: String,
    /// Name that people read beside it; empty for none.
    pub title: String,
    /// Where clients are told that more is found; empty for nowhere.
    pub website_url: String,
    /// Pictures for the server, of `https:` or `data:`.
    pub icons: Vec<String>,
    /// Address to listen on.
    #[serde(deserialize_with = "read_address")]
    pub host: IpAddr,
    /// Port to listen on; 0 takes any free one.
    pub port: u16,
    /// Threads that serve requests, at most 1024; 0 is one for each core.
    pub workers: usize,
    /// Address that clients use, in canonical form without a slash at the end.
    pub public_url: String,
    /// `Host` headers that are let in, in lower case; an entry without a port matches every port.
    pub allowed_hosts: Vec<String>,
    /// `Origin` headers that are let in, compared byte by byte.
    pub allowed_origins: Vec<String>,
    /// Networks of proxies whose forwarding headers are believed.
    #[serde(deserialize_with = "read_networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// Largest request body in bytes, 1 KiB to 64 MiB.
    #[serde(deserialize_with = "units::read_size")]
    pub max_body: usize,
    /// Time for a whole request, at most 10 minutes.
    #[serde(deserialize_with = "units::read_duration")]
    pub request_timeout: Duration,
    /// Time that requests in flight get when the server stops, at most 10 minutes.
    #[serde(deserialize_with = "units::read_duration")]
    pub shutdown_grace: Duration,
    /// Time in which the server serves on, no longer ready, before it stops; at most 10 minutes.
    #[serde(deserialize_with = "units::read_duration")]
    pub drain_delay: Duration,
    /// Connections open at once, 1 to 1 000 000.
    pub max_connections: usize,
    /// Room for large answers, bytes, 16 MiB to 1 TiB.
    #[serde(deserialize_with = "units::read_size")]
    pub max_answers: usize,
    /// `[server.tls]`.
    pub tls: TlsSettings,
}

/// `[server.tls]`: both files or neither.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// PEM file with the certificate chain.
    #[serde(deserialize_with = "units::read_optional")]
    pub certificate: Option<PathBuf>,
    /// PEM file with the key of the certificate.
    #[serde(deserialize_with = "units::read_optional")]
    pub private_key: Option<PathBuf>,
}

impl TlsSettings {
    /// The certificate and its key, if the main listener speaks TLS.
    pub fn files(&self) -> Option<(&Path, &Path)> {
        self.certificate.as_deref().zip(self.private_key.as_deref())
    }
}

impl ServerSettings {
    pub(super) fn check(&self, report: &mut Report) {
        let named = (1..=64).contains(&self.name.chars().count()) && !self.name.chars().any(char::is_control);
        report.require(named, "server.name", ("must be 1 to 64 printable characters", "shorten it"));
        let titled = self.title.chars().count() <= 64 && !self.title.chars().any(char::is_control);
        report.require(titled, "server.title", ("must be up to 64 printable characters", "shorten it"));
        let leads = |text: &str, schemes: &[&str]| {
            let url = Url::parse(text).ok().filter(|_| text.len() <= MAX_ICON);
            url.is_some_and(|url| schemes.contains(&url.scheme()))
        };
        let is_found = self.website_url.is_empty() || leads(&self.website_url, &["https"]);
        report.require(is_found, "server.website_url", ("is no https URL", "write one, or leave it empty"));
        let pictured = self.icons.len() <= 8 && self.icons.iter().all(|icon| leads(icon, &["https", "data"]));
        let fix = "write at most 8 https or data URIs of up to 64KiB";
        report.require(pictured, "server.icons", ("holds what is no picture for clients", fix));
        if let Some((problem, fix)) = addresses::public_url_fault(&self.public_url) {
            report.refuse("server.public_url", problem, fix);
        }
        self.check_lists(report);
        self.check_tls(report);
        self.check_exposure(report);
        self.check_public_url(report);
    }

    fn check_lists(&self, report: &mut Report) {
        for host in self.allowed_hosts.iter().filter(|host| addresses::host_and_port(host).is_none()) {
            let fix = "write a host name or address without scheme and wildcard, \
                       such as \"mcp.example.org\", \"127.0.0.1:8080\" or \"[::1]\"";
            report.refuse("server.allowed_hosts", format!("{host:?} is not a host"), fix);
        }
        for origin in self.allowed_origins.iter().filter(|origin| !addresses::is_origin(origin)) {
            let fix =
                "write scheme, host and port as the browser sends them, such as \"https://app.example.org\"";
            report.refuse("server.allowed_origins", format!("{origin:?} is not an origin"), fix);
        }
        // Two halves of the net are all of it, too.
        let all = IpNet::aggregate(&self.trusted_proxies).iter().any(|net| net.prefix_len() == 0);
        let fix = "name the proxies' own addresses or networks";
        report.require(!all, "server.trusted_proxies", ("trusts the forwarding headers of everybody", fix));
    }

    fn check_tls(&self, report: &mut Report) {
        let TlsSettings { certificate, private_key } = &self.tls;
        for (missing, here, there) in [
            (certificate.is_none() && private_key.is_some(), "server.tls.certificate", "private_key"),
            (private_key.is_none() && certificate.is_some(), "server.tls.private_key", "certificate"),
        ] {
            report.require(
                !missing,
                here,
                (&format!("is missing beside {there}"), "name both files or neither"),
            );
        }
        if let Some(path) = certificate
            && let Err(fault) = guard::is_readable(path)
        {
            report.refuse(
                "server.tls.certificate",
                format!("the file cannot be read: {fault}"),
                "name a readable PEM file",
            );
        }
        if let Some(path) = private_key {
            guard::check_secret_file("server.tls.private_key", path, report);
        }
    }

    /// What has to hold as soon as others can reach the listener.
    fn check_exposure(&self, report: &mut Report) {
        if self.host.is_loopback() {
            return;
        }
        if self.tls.files().is_none() && self.trusted_proxies.is_empty() {
            report.refuse_in_production(
                "server.host",
                "listens off loopback without TLS and without a trusted proxy",
                "set server.tls.certificate and private_key, or server.trusted_proxies, \
                 or listen on 127.0.0.1",
            );
        }
        let key = "server.allowed_hosts";
        let fix = "list the host names that clients use, such as [\"mcp.example.org\"]";
        if self.allowed_hosts.is_empty() {
            report.refuse(key, "is empty although the server listens off loopback", fix);
        } else if self.allowed_hosts.iter().all(|host| addresses::names_loopback(host)) {
            report.refuse_in_production(
                key,
                "names only this machine although the server listens off loopback",
                fix,
            );
        }
    }

    /// What is not wrong, but keeps clients out or their tokens in the clear.
    fn check_public_url(&self, report: &mut Report) {
        let Ok(url) = Url::parse(&self.public_url) else {
            return;
        };
        let key = "server.public_url";
        let local = addresses::is_loopback(&url);
        if report.is_production() && !local && url.scheme() == "http" {
            report.warn(key, "sends tokens in the clear", "use https");
        }
        if local && self.port != 0 && url.port_or_known_default() != Some(self.port) {
            let problem = format!("names another port than server.port, {}", self.port);
            report.warn(key, problem, "make them equal unless something forwards the one to the other");
        }
        let ours = |entry: &String| {
            let (host, port) = addresses::host_and_port(entry).unwrap_or_default();
            url.host_str() == Some(host) && (port.is_none() || port == url.port_or_known_default())
        };
        if !self.allowed_hosts.iter().any(ours) {
            report.warn(key, "has a host that server.allowed_hosts does not let in", "add it there");
        }
    }
}

/// Reads an address of a listener.
pub(super) fn read_address<'de, D: Deserializer<'de>>(from: D) -> Result<IpAddr, D::Error> {
    kind::address(&String::deserialize(from)?).ok_or_else(|| D::Error::custom("not an address"))
}

fn read_networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    let nets: Option<_> = texts.iter().map(|text| kind::network(text)).collect();
    nets.ok_or_else(|| D::Error::custom("not a network"))
}
