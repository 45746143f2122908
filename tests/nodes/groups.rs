//! Several Redis servers that are one: a master with replicas and a sentinel, and a cluster of three.

use super::{Node, until};

/// A master, its replicas, and the sentinel that watches them.
pub(crate) struct Watched {
    /// The first is master at the beginning.
    pub(crate) nodes: Vec<Node>,
    pub(crate) sentinel: Node,
}

impl Watched {
    /// A master with two replicas, all of one mind.
    pub(crate) fn start() -> Self {
        let master = Node::start("save \"\"", &[]);
        let replica = || Node::start(&format!("save \"\"\nreplicaof 127.0.0.1 {}", master.port), &[]);
        let replicas = [replica(), replica()];
        for node in &replicas {
            until(|| node.ask("INFO replication").is_some_and(|info| info.contains("master_link_status:up")));
        }
        let sentinel = Node::start(
            &format!(
                "sentinel monitor main 127.0.0.1 {} 1\nsentinel down-after-milliseconds main 500\n\
                 sentinel failover-timeout main 4000",
                master.port
            ),
            &["--sentinel"],
        );
        until(|| {
            sentinel
                .ask("INFO sentinel")
                .is_some_and(|info| info.contains("status=ok,") && info.contains("slaves=2"))
        });
        let [second, third] = replicas;
        Self { nodes: vec![master, second, third], sentinel }
    }

    /// The URL of whoever is master.
    pub(crate) fn url(&self) -> String {
        format!("redis+sentinel://127.0.0.1:{}/main", self.sentinel.port)
    }

    /// The port of the master, as the sentinel says.
    pub(crate) fn master(&self) -> u16 {
        self.sentinel.all("SENTINEL GET-MASTER-ADDR-BY-NAME main")[1].parse().unwrap()
    }
}

/// Three nodes, each with a third of the slots.
pub(crate) struct Cluster(pub(crate) [Node; 3]);

impl Cluster {
    /// The nodes, all of one mind.
    pub(crate) fn start() -> Self {
        let nodes: [Node; 3] = std::array::from_fn(|_| {
            Node::start("save \"\"\ncluster-enabled yes\ncluster-node-timeout 2000", &[])
        });
        let [first, ..] = &nodes;
        for (node, slots) in nodes.iter().zip(["0 5460", "5461 10922", "10923 16383"]) {
            assert_eq!(node.ask(&format!("CLUSTER ADDSLOTSRANGE {slots}")).as_deref(), Some("+OK"));
            node.ask(&format!("CLUSTER MEET 127.0.0.1 {}", first.port));
        }
        for node in &nodes {
            until(|| {
                node.ask("CLUSTER INFO").is_some_and(|info| {
                    info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
                })
            });
        }
        Self(nodes)
    }

    /// The URL of all of them.
    pub(crate) fn url(&self) -> String {
        let hosts: Vec<String> = self.0.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("redis+cluster://{}", hosts.join(","))
    }

    /// Who has the slot of `name`, and who comes next.
    pub(crate) fn owner_and_next(&self, name: &str) -> (u16, usize, usize) {
        let slot = self.0[0].ask(&format!("CLUSTER KEYSLOT {name}")).unwrap();
        let slot: u16 = slot.trim_start_matches(':').parse().unwrap();
        let owner = self.0.iter().position(|node| {
            node.ask(&format!("CLUSTER COUNTKEYSINSLOT {slot}")).is_some_and(|count| count != ":0")
        });
        let Some(owner) = owner else { panic!("nobody has anything in slot {slot}") };
        (slot, owner, (owner + 1) % self.0.len())
    }

    /// Moves a slot with all that is in it from one node to another, a few names at a time, `between` which is called.
    pub(crate) fn move_slot(&self, (slot, from, to): (u16, usize, usize), mut between: impl FnMut()) {
        let (source, target) = (&self.0[from], &self.0[to]);
        let [source_id, target_id] = [source, target].map(|node| node.ask("CLUSTER MYID").unwrap());
        let ok = |answer: Option<String>| assert_eq!(answer.as_deref(), Some("+OK"));
        ok(target.ask(&format!("CLUSTER SETSLOT {slot} IMPORTING {source_id}")));
        ok(source.ask(&format!("CLUSTER SETSLOT {slot} MIGRATING {target_id}")));
        loop {
            let names = source.all(&format!("CLUSTER GETKEYSINSLOT {slot} 20"));
            if names.is_empty() {
                break;
            }
            let moved = source.ask(&format!(
                "MIGRATE 127.0.0.1 {} \"\" 0 5000 KEYS {}",
                target.port,
                names.join(" ")
            ));
            assert!(matches!(moved.as_deref(), Some("+OK" | "+NOKEY")), "{moved:?}");
            between();
        }
        for node in [target, source].into_iter().chain(&self.0) {
            ok(node.ask(&format!("CLUSTER SETSLOT {slot} NODE {target_id}")));
        }
    }
}
