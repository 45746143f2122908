//! Where a Redis is: one node, a cluster, or a set of sentinels that know the node of the hour.

use std::fmt;

use crate::store::StoreError;

/// Nodes as URLs that the client library reads. `Debug` shows no credentials.
pub(super) enum Place {
    /// One node.
    One(String),
    /// Some nodes of a cluster.
    Cluster(Vec<String>),
    /// The sentinels of a service.
    Sentinel {
        /// The sentinels.
        sentinels: Vec<String>,
        /// What they call the service.
        service: String,
        /// How its nodes are spoken to; their addresses come from the sentinels.
        node: String,
    },
}

impl Place {
    /// Reads `redis://`, `redis+cluster://` and `redis+sentinel://` URLs; `rediss…` is the same over TLS.
    ///
    /// Several nodes stand side by side with commas between them: `redis+cluster://user:password@h1:7000,h2:7001`,
    /// `redis+sentinel://user:password@s1:26379,s2:26379/service/0`. User and password are those of the nodes that hold
    /// data; sentinels are asked without any.
    ///
    /// # Errors
    /// [`StoreError::Config`], which does not repeat the URL: it may hold a password.
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let fault = |text: &'static str| StoreError::Config(text.into());
        if url.contains('#') {
            return Err(fault(
                "must not carry a fragment: a certificate that is not checked protects nothing; name its issuer in store.ca_file",
            ));
        }
        let (scheme, rest) = url.split_once("://").ok_or_else(|| fault("must be redis://host:port"))?;
        let (plain, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        if !matches!(plain, "redis" | "rediss") {
            return Err(fault("must begin with redis or rediss"));
        }
        let (credentials, rest) = rest.rsplit_once('@').map_or(("", rest), |(user, rest)| (user, rest));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        if hosts.split(',').any(str::is_empty) {
            return Err(fault("names no host"));
        }
        let at = if credentials.is_empty() { String::new() } else { format!("{credentials}@") };
        let nodes = |at: &str| hosts.split(',').map(|host| format!("{plain}://{at}{host}")).collect();
        match kind {
            "" if hosts.contains(',') => {
                Err(fault("names several nodes: write redis+cluster or redis+sentinel"))
            }
            "" => Ok(Self::One(format!("{plain}://{at}{hosts}/{path}"))),
            "cluster" if path.is_empty() => Ok(Self::Cluster(nodes(&at))),
            "cluster" => Err(fault("names a database: a cluster has only one")),
            "sentinel" => {
                let (service, db) = path.split_once('/').unwrap_or((path, "0"));
                if service.is_empty() {
                    return Err(fault("must name the service: redis+sentinel://host:port/service"));
                }
                let node = format!("{plain}://{at}node.invalid/{db}");
                Ok(Self::Sentinel { sentinels: nodes(""), service: service.into(), node })
            }
            _ => Err(fault("must be redis, redis+cluster or redis+sentinel")),
        }
    }

    /// Whether names have to share a slot.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One(_) => "One(..)",
            Self::Cluster(_) => "Cluster(..)",
            Self::Sentinel { .. } => "Sentinel(..)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_topology_has_its_scheme() {
        let Ok(Place::One(url)) = Place::parse("rediss://ann:p@ss@h:7/2") else { panic!("one node") };
        assert_eq!(url, "rediss://ann:p@ss@h:7/2");
        let Ok(Place::Cluster(nodes)) = Place::parse("redis+cluster://u:p@a:1,b:2") else {
            panic!("a cluster")
        };
        assert_eq!(nodes, ["redis://u:p@a:1", "redis://u:p@b:2"]);
        let Ok(Place::Sentinel { sentinels, service, node }) =
            Place::parse("redis+sentinel://u:p@a:1,b:2/main/3")
        else {
            panic!("sentinels")
        };
        assert_eq!(sentinels, ["redis://a:1", "redis://b:2"], "sentinels are not told the nodes' password");
        assert_eq!((service.as_str(), node.as_str()), ("main", "redis://u:p@node.invalid/3"));
    }

    #[test]
    fn what_is_no_place_is_refused_without_being_repeated() {
        for url in [
            "redis:h",
            "redis://",
            "redis://u:hush@",
            "redis://u:hush@a,b",
            "redis+cluster://u:hush@a,,b",
            "redis+cluster://u:hush@a/1",
            "redis+sentinel://u:hush@a",
            "redis+ring://u:hush@a",
            "valkey://u:hush@a",
            "rediss://u:hush@a/#insecure",
        ] {
            let refused = Place::parse(url).unwrap_err().to_string();
            assert!(!refused.contains("hush"), "{url}: {refused}");
        }
    }
}
