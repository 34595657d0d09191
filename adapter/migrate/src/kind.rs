//! What a file of the input is: as `--from` says it.

/// What a file may be said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What Envoy starts with.
    Bootstrap,
    /// A listener.
    Listener,
    /// The configuration of an HTTP connection manager.
    ConnectionManager,
    /// A route configuration.
    RouteConfiguration,
    /// A cluster.
    Cluster,
    /// An HTTP filter, as it stands in a connection manager.
    Filter,
    /// The configuration of a filter, as it is discovered.
    ExtensionConfig,
    /// What the admin's `/config_dump` answers.
    ConfigDump,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Bootstrap,
        Self::Listener,
        Self::ConnectionManager,
        Self::RouteConfiguration,
        Self::Cluster,
        Self::Filter,
        Self::ExtensionConfig,
        Self::ConfigDump,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bootstrap => "bootstrap",
            Self::Listener => "listener",
            Self::ConnectionManager => "connection-manager",
            Self::RouteConfiguration => "route-configuration",
            Self::Cluster => "cluster",
            Self::Filter => "filter",
            Self::ExtensionConfig => "extension-config",
            Self::ConfigDump => "config-dump",
        }
    }

    /// The last part of its message's name.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Bootstrap => "Bootstrap",
            Self::Listener => "Listener",
            Self::ConnectionManager => "HttpConnectionManager",
            Self::RouteConfiguration => "RouteConfiguration",
            Self::Cluster => "Cluster",
            Self::Filter => "HttpFilter",
            Self::ExtensionConfig => "TypedExtensionConfig",
            Self::ConfigDump => "ConfigDump",
        }
    }
}
