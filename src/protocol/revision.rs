//! The revisions of MCP that this server speaks, and where their wire differs.

/// The revision of the modern era: every request says it in its body.
pub const MODERN: &str = "2026-07-28";
/// What a client may ask for in a request of the modern era.
pub const MODERN_ONLY: [&str; 1] = [MODERN];
/// Every revision that this server speaks, newest first.
pub const SUPPORTED: [&str; 4] = [MODERN, "2025-11-25", "2025-06-18", "2025-03-26"];

/// A revision that this server speaks; a later one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revision {
    /// 2025-03-26: batches, no structured content.
    March2025,
    /// 2025-06-18: structured content, titles, links to resources.
    June2025,
    /// 2025-11-25: bad arguments are the tool's own failure.
    November2025,
    /// 2026-07-28: no handshake, every request stands for itself.
    July2026,
}

impl Revision {
    /// Those that begin with a handshake, newest first.
    pub const LEGACY: [Self; 3] = [Self::November2025, Self::June2025, Self::March2025];

    /// Its date, which is its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::March2025 => "2025-03-26",
            Self::June2025 => "2025-06-18",
            Self::November2025 => "2025-11-25",
            Self::July2026 => MODERN,
        }
    }

    /// The older revision of that name.
    pub fn legacy(name: &str) -> Option<Self> {
        Self::LEGACY.into_iter().find(|revision| revision.name() == name)
    }

    /// What a handshake is offered that asks for the revision of which `asks` is true: that, or else our newest
    /// that has handshakes.
    pub fn offered(asks: impl Fn(&str) -> bool) -> Self {
        Self::LEGACY.into_iter().find(|revision| asks(revision.name())).unwrap_or(Self::November2025)
    }

    /// Whether it is of the modern era.
    pub const fn is_modern(self) -> bool {
        matches!(self, Self::July2026)
    }

    /// Whether clients send batches.
    pub const fn has_batches(self) -> bool {
        matches!(self, Self::March2025)
    }

    /// Whether it knows `structuredContent`, `outputSchema`, `title` of a tool, and links to resources.
    pub const fn has_structure(self) -> bool {
        !matches!(self, Self::March2025)
    }

    /// Whether it knows icons.
    pub const fn has_icons(self) -> bool {
        matches!(self, Self::November2025 | Self::July2026)
    }

    /// Whether arguments that do not fit are told to the model, as a result of the tool.
    pub const fn tells_models_of_bad_arguments(self) -> bool {
        matches!(self, Self::November2025 | Self::July2026)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_revision_is_supported_under_its_name_and_in_its_order() {
        let all = [Revision::July2026].into_iter().chain(Revision::LEGACY);
        assert_eq!(all.clone().map(Revision::name).collect::<Vec<_>>(), SUPPORTED);
        assert!(all.is_sorted_by(|newer, older| newer > older));
    }

    #[test]
    fn a_handshake_is_offered_what_it_asks_for_and_never_the_modern_revision() {
        for revision in Revision::LEGACY {
            assert_eq!(Revision::offered(|name| name == revision.name()), revision);
        }
        for name in [MODERN, "2099-01-01", "2024-11-05", "", "x"] {
            assert_eq!(Revision::offered(|known| known == name), Revision::November2025, "{name}");
        }
    }
}
