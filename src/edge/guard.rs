//! Which hosts and origins may be named by a request: the guard against DNS rebinding.

use actix_web::http::Uri;

use super::{EdgeError, Headers};

/// A host that is served, with its port or any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRule {
    name: String,
    port: Option<u16>,
}

impl HostRule {
    /// `example.org`, `example.org:8443`, `127.0.0.1` or `[::1]:8080`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, port) = split_port(text)?;
        Some(Self { name: name.to_ascii_lowercase(), port })
    }

    /// Whether `host`, as a request writes it, is this one.
    fn admits(&self, host: &str) -> bool {
        let Some((name, port)) = host.split_at_checked(self.name.len()) else { return false };
        self.name.eq_ignore_ascii_case(name)
            && match (port.strip_prefix(':').map(port_number), self.port) {
                (None, own) => port.is_empty() && own.is_none(),
                (Some(None), _) => false,
                (Some(port), own) => own.is_none() || port == own,
            }
    }
}

/// Checks `Host` and `Origin` of every request (specification, streamable HTTP, security).
#[derive(Debug, Clone)]
pub struct Guard {
    hosts: Vec<HostRule>,
    origins: Vec<String>,
}

impl Guard {
    /// Serves `hosts`; lets pages of `origins` (scheme, host and port, as browsers write it) call.
    pub fn new(hosts: Vec<HostRule>, origins: Vec<String>) -> Self {
        Self { hosts, origins }
    }

    /// Checks one request. An absent `Origin` passes: only browsers send it.
    ///
    /// # Errors
    /// [`EdgeError::Host`] or [`EdgeError::Origin`].
    pub fn check(&self, headers: &Headers<'_>, target: &Uri) -> Result<(), EdgeError> {
        if !headers.host.text().is_some_and(|host| self.serves(host)) {
            return Err(EdgeError::Host);
        }
        // actix takes `POST http://evil.example/mcp` with a good `Host` (measured): the target counts too.
        if target.authority().is_some_and(|target| !self.serves(target.as_str())) {
            return Err(EdgeError::Host);
        }
        let admitted = |origin| self.admits_origin(origin);
        if headers.origin.is_present() && !headers.origin.text().is_some_and(admitted) {
            return Err(EdgeError::Origin);
        }
        Ok(())
    }

    /// A page on a listed origin, or on this very host if that is a loopback one.
    fn admits_origin(&self, origin: &str) -> bool {
        if self.origins.iter().any(|listed| listed == origin) {
            return true;
        }
        let local = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        local.is_some_and(|host| {
            let is_local =
                split_port(host).is_some_and(|(name, _)| matches!(name, "localhost" | "127.0.0.1" | "[::1]"));
            is_local && self.serves(host)
        })
    }

    fn serves(&self, host: &str) -> bool {
        self.hosts.iter().any(|rule| rule.admits(host))
    }
}

/// Name and port of `host[:port]`. A loopback look-alike (`localhost.evil.example`) is another name.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let name_end =
        if text.starts_with('[') { text.find(']')? + 1 } else { text.find(':').unwrap_or(text.len()) };
    let (name, rest) = text.split_at_checked(name_end)?;
    let port = match rest.strip_prefix(':') {
        Some(port) => Some(port_number(port)?),
        None if rest.is_empty() => None,
        None => return None,
    };
    let fits = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b))
        && (name.starts_with('[') || !name.contains([':', ']']));
    fits.then_some((name, port))
}

/// Nothing but digits: `parse` takes a plus sign too.
fn port_number(text: &str) -> Option<u16> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn guard() -> Guard {
        let hosts = ["localhost", "127.0.0.1", "[::1]", "gw.example.com:8443"];
        Guard::new(
            hosts.iter().map(|h| HostRule::parse(h).unwrap()).collect(),
            vec!["https://app.example.com".into()],
        )
    }

    fn check_request(request: &actix_web::HttpRequest) -> Result<(), EdgeError> {
        guard().check(&Headers::of(request.headers()), request.uri())
    }

    fn check(host: &str, origin: Option<&str>) -> Result<(), EdgeError> {
        let mut request = TestRequest::post().uri("/mcp").insert_header(("host", host));
        if let Some(origin) = origin {
            request = request.insert_header(("origin", origin));
        }
        check_request(&request.to_http_request())
    }

    #[test]
    fn listed_hosts_pass_with_any_port_unless_they_name_one() {
        for host in ["localhost", "LOCALHOST:9", "127.0.0.1:8080", "[::1]:1", "gw.example.com:8443"] {
            assert_eq!(check(host, None), Ok(()), "{host}");
        }
        for host in [
            "gw.example.com",
            "gw.example.com:1",
            "evil.com",
            "localhost.evil.com",
            "localhost:x",
            "localhost:+80",
            "localhost:",
            "localhost:65536",
            "localhostx",
            "localhost:80:80",
            "a@localhost",
            "[::1",
            "",
        ] {
            assert_eq!(check(host, None), Err(EdgeError::Host), "{host}");
        }
    }

    #[test]
    fn a_foreign_target_is_refused_whatever_the_host_says() {
        let request = TestRequest::post().uri("http://evil.com/mcp").insert_header(("host", "localhost"));
        assert_eq!(check_request(&request.to_http_request()), Err(EdgeError::Host));
    }

    #[test]
    fn two_hosts_are_none() {
        let request =
            TestRequest::post().append_header(("host", "localhost")).append_header(("host", "localhost"));
        assert_eq!(check_request(&request.to_http_request()), Err(EdgeError::Host));
    }

    #[test]
    fn only_listed_and_local_origins_pass() {
        for origin in ["https://app.example.com", "http://localhost:3000", "http://127.0.0.1:8080"] {
            assert_eq!(check("localhost", Some(origin)), Ok(()), "{origin}");
        }
        for origin in [
            "http://evil.com",
            "null",
            "https://app.example.com.evil",
            "https://APP.example.com",
            "https://app.example.com:1",
            "http://localhost.evil.com",
        ] {
            assert_eq!(check("localhost", Some(origin)), Err(EdgeError::Origin), "{origin}");
        }
    }
}
