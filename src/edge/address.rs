//! From where a request comes.

use std::net::IpAddr;

use actix_web::HttpRequest;
use ipnet::IpNet;

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

    /// The client of `request`: the peer, or, if that is a trusted proxy, the right-most address of
    /// `X-Forwarded-For` that is none. From anybody else that header is noise.
    pub fn client_of(&self, request: &HttpRequest) -> ClientAddress {
        let peer = request.peer_addr()?.ip().to_canonical();
        if self.0.is_empty() || !self.trusts(peer) {
            return Some(peer);
        }
        let hops = request.headers().get_all("x-forwarded-for").filter_map(|value| value.to_str().ok());
        let hops: Vec<&str> = hops.flat_map(|value| value.split(',')).map(str::trim).collect();
        for hop in hops.iter().rev() {
            match hop.parse::<IpAddr>() {
                Ok(address) if self.trusts(address.to_canonical()) => {}
                Ok(address) => return Some(address.to_canonical()),
                // Whatever stands left of nonsense was written by whoever wrote the nonsense.
                Err(_) => return Some(peer),
            }
        }
        Some(peer)
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
}
