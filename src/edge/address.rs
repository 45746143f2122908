//! From where a request comes.

use std::net::IpAddr;

use actix_web::HttpRequest;
use ipnet::IpNet;

use super::forwarded::{self, Station};

/// The address of the client, as far as we can trust anybody about it.
pub type ClientAddress = Option<IpAddr>;

/// The proxies whose word about their clients counts.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Trusts these networks.
    pub fn new(trusted: Vec<IpNet>) -> Self {
        Self(trusted)
    }

    /// The client of `request`: the peer, or, if that is a trusted proxy, the right-most address that is none
    /// of `X-Forwarded-For` or of `Forwarded`. From anybody else these headers are noise.
    ///
    /// A proxy that writes one of them may pass the other on as the client wrote it, so where both stand and
    /// do not agree neither is believed: the request then counts as the proxy's own.
    pub fn client_of(&self, request: &HttpRequest) -> ClientAddress {
        let peer = request.peer_addr()?.ip().to_canonical();
        if self.0.is_empty() || !self.trusts(peer) {
            return Some(peer);
        }
        let named = |name: &str, read: fn(&str) -> Vec<Station>| {
            let lines = request.headers().get_all(name);
            // Bytes that are no text are a station that says nothing.
            let stations = lines.flat_map(|line| line.to_str().map_or_else(|_| vec![None], read));
            self.client_among(&stations.collect::<Vec<_>>(), peer)
        };
        let one = named("x-forwarded-for", forwarded::x_forwarded_for);
        let other = named("forwarded", forwarded::forwarded);
        match (one, other) {
            (Some(one), Some(other)) if one != other => Some(peer),
            (one, other) => Some(one.or(other).unwrap_or(peer)),
        }
    }

    /// The right-most of `stations` that is no trusted proxy; `None` if there are no stations at all.
    fn client_among(&self, stations: &[Station], peer: IpAddr) -> Option<IpAddr> {
        for station in stations.iter().rev() {
            match station.map(|address| address.to_canonical()) {
                Some(address) if self.trusts(address) => {}
                Some(address) => return Some(address),
                // Whatever stands left of nonsense was written by whoever wrote the nonsense.
                None => return Some(peer),
            }
        }
        (!stations.is_empty()).then_some(peer)
    }

    /// The client of `request` as far as it may open doors: `None` where only a proxy is known. Whoever writes
    /// nonsense into a forwarding header is counted as the proxy, and must not be let in as the proxy.
    pub fn proven(&self, client: ClientAddress) -> ClientAddress {
        client.filter(|address| !self.trusts(*address))
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn client(peer: &str, forwarded: &str, trusted: &[&str]) -> String {
        let request = TestRequest::default()
            .peer_addr(format!("{peer}:9").parse().unwrap())
            .insert_header(("x-forwarded-for", forwarded))
            .to_http_request();
        let proxies = Proxies::new(trusted.iter().map(|net| net.parse().unwrap()).collect());
        proxies.client_of(&request).unwrap().to_string()
    }

    #[test]
    fn whoever_hides_behind_a_proxy_is_not_let_in_as_the_proxy() {
        let proxies = Proxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let request = TestRequest::default()
            .peer_addr("10.0.0.1:9".parse().unwrap())
            .insert_header(("x-forwarded-for", "1.2.3.4"))
            .insert_header(("forwarded", "for=\"unclosed"))
            .to_http_request();
        let counted = proxies.client_of(&request);
        assert_eq!(counted, Some("10.0.0.1".parse().unwrap()), "counted as the proxy");
        assert_eq!(proxies.proven(counted), None);
        let known = Some("1.2.3.4".parse().unwrap());
        assert_eq!(proxies.proven(known), known);
    }

    #[test]
    fn a_strangers_header_is_noise() {
        assert_eq!(client("9.9.9.9", "1.2.3.4", &[]), "9.9.9.9");
        assert_eq!(client("9.9.9.9", "1.2.3.4", &["10.0.0.0/8"]), "9.9.9.9");
    }

    #[test]
    fn a_trusted_proxy_is_believed_about_its_own_client_only() {
        assert_eq!(client("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", &["10.0.0.0/8"]), "1.2.3.4");
        assert_eq!(client("10.0.0.1", "6.6.6.6, nonsense", &["10.0.0.0/8"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", "10.0.0.9", &["10.0.0.0/8"]), "10.0.0.1");
    }
    fn by(headers: &[(&'static str, &str)]) -> String {
        let request = TestRequest::default().peer_addr("10.0.0.1:9".parse().unwrap());
        let request = headers.iter().fold(request, |request, header| request.append_header(*header));
        let proxies = Proxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        proxies.client_of(&request.to_http_request()).unwrap().to_string()
    }

    #[test]
    fn both_headers_count_alone_and_together_only_if_they_agree() {
        let (old, new) = ("x-forwarded-for", "forwarded");
        assert_eq!(by(&[(new, "for=6.6.6.6, for=\"1.2.3.4:80\", for=10.0.0.2")]), "1.2.3.4");
        assert_eq!(by(&[(new, "for=6.6.6.6"), (new, "for=1.2.3.4")]), "1.2.3.4", "lines are one list");
        assert_eq!(by(&[(old, "1.2.3.4:80"), (new, "for=1.2.3.4")]), "1.2.3.4");
        assert_eq!(by(&[(old, "1.2.3.4"), (new, "for=6.6.6.6")]), "10.0.0.1", "one of them is a lie");
        assert_eq!(by(&[(new, "for=6.6.6.6, for=unknown")]), "10.0.0.1");
        assert_eq!(by(&[(new, "for=6.6.6.6, for=_hidden")]), "10.0.0.1");
        assert_eq!(by(&[(old, "::ffff:1.2.3.4")]), "1.2.3.4");
        assert_eq!(by(&[]), "10.0.0.1");
    }
}
