//! The values of the directives that take one word of a fixed list. Each list is an enum, so that code which reads
//! the setting matches on it; the words, their order and their numbers are what CONFIG SET and CONFIG GET use.

use tidegate_data::Order;

/// A word a directive accepts and the number it is stored as.
pub type Word = (&'static str, i64);

/// Words with this number or a higher one are not among those that Redis 7 knows. They are not listed where a word is
/// refused, because clients compare that text.
pub const OWN: i64 = 1000;

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $number:literal $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(i64)]
        pub enum $name { $($(#[$item_doc])* $item = $number,)+ }

        impl $name {
            /// The words in the order error messages list them.
            pub const WORDS: &'static [Word] = &[$(($word, $number),)+];

            /// The value stored as `number`.
            ///
            /// # Panics
            /// When no value has this number, which a value that came out of the directive's own list never does.
            pub fn from_number(number: i64) -> Self {
                match number {
                    $($number => Self::$item,)+
                    _ => unreachable!("a stored choice comes from its own list"),
                }
            }

            /// The word CONFIG GET answers.
            pub fn word(self) -> &'static str {
                match self { $(Self::$item => $word,)+ }
            }
        }
    };
}

choice! {
    /// What the audit log notes.
    AuditLevel {
        Off = 0 "off",
        /// What changes the server or who may use it, logging in, and what is denied.
        Admin = 1 "admin",
        /// Also what changes keys, and scripts.
        Write = 2 "write",
        /// Every command.
        All = 3 "all",
    }
}

choice! {
    /// Which keys go first when `maxmemory` is reached.
    MaxmemoryPolicy {
        VolatileLru = 0 "volatile-lru",
        VolatileLfu = 1 "volatile-lfu",
        VolatileRandom = 2 "volatile-random",
        VolatileTtl = 3 "volatile-ttl",
        AllkeysLru = 4 "allkeys-lru",
        AllkeysLfu = 5 "allkeys-lfu",
        AllkeysRandom = 6 "allkeys-random",
        NoEviction = 7 "noeviction",
        /// As Redis 8.6: what was not changed for long.
        VolatileLrm = 1001 "volatile-lrm",
        /// The same of all keys.
        AllkeysLrm = 1002 "allkeys-lrm",
        /// What was not used again soon after it came, then what was not used for long.
        AllkeysS3Fifo = 1003 "allkeys-s3fifo",
    }
}

impl MaxmemoryPolicy {
    /// Which keys go first, and whether only those with an expiry do; `None` when none does.
    pub fn order(self) -> Option<(Order, bool)> {
        let order = match self {
            Self::NoEviction => return None,
            Self::VolatileLru | Self::AllkeysLru | Self::VolatileLrm | Self::AllkeysLrm => Order::Idle,
            Self::VolatileLfu | Self::AllkeysLfu => Order::Rare,
            Self::VolatileRandom | Self::AllkeysRandom => Order::Any,
            Self::VolatileTtl => Order::Due,
            Self::AllkeysS3Fifo => Order::Fifo,
        };
        let volatile = matches!(
            self,
            Self::VolatileLru
                | Self::VolatileLfu
                | Self::VolatileRandom
                | Self::VolatileTtl
                | Self::VolatileLrm
        );
        Some((order, volatile))
    }

    /// Whether keys carry an access frequency instead of an idle time (OBJECT FREQ instead of OBJECT IDLETIME).
    pub fn lfu(self) -> bool {
        matches!(self, Self::VolatileLfu | Self::AllkeysLfu)
    }

    /// Whether only changes count as accesses.
    pub fn lrm(self) -> bool {
        matches!(self, Self::VolatileLrm | Self::AllkeysLrm)
    }

    /// Whether eviction looks at when or how often each key was accessed.
    pub fn by_access(self) -> bool {
        self.lfu() || self.lrm() || matches!(self, Self::VolatileLru | Self::AllkeysLru)
    }
}

choice! {
    /// When the append-only file reaches the disk.
    AppendFsync {
        EverySec = 0 "everysec",
        Always = 1 "always",
        No = 2 "no",
    }
}

choice! {
    /// When a write is answered, unless `appendfsync` is `always`.
    AppendAck {
        /// When the kernel has it: it survives the end of the process.
        Written = 0 "written",
        /// At once.
        None = 1 "none",
    }
}

choice! {
    /// The least important message that is still logged.
    LogLevel {
        Debug = 0 "debug",
        Verbose = 1 "verbose",
        Notice = 2 "notice",
        Warning = 3 "warning",
    }
}

choice! {
    /// The form of the log's lines.
    LogFormat {
        /// As Redis writes them.
        Text = 0 "text",
        /// One JSON object per line.
        Json = 1 "json",
        /// `name=value` pairs.
        Logfmt = 2 "logfmt",
    }
}

choice! {
    /// Who supervises the process and is told when it is ready.
    Supervised {
        Upstart = 3 "upstart",
        Systemd = 2 "systemd",
        Auto = 1 "auto",
        No = 0 "no",
    }
}

choice! {
    /// Who may use a protected command or set a protected directive.
    ProtectedAction {
        No = 0 "no",
        Yes = 1 "yes",
        Local = 2 "local",
    }
}

impl ProtectedAction {
    /// Whether a client may do the protected thing; `local` is true for a client on the loopback interface or on
    /// the Unix socket.
    pub fn allows(self, local: bool) -> bool {
        match self {
            Self::No => false,
            Self::Yes => true,
            Self::Local => local,
        }
    }
}

choice! {
    /// How a replica loads a snapshot that arrives over the network.
    ReplDisklessLoad {
        Disabled = 0 "disabled",
        OnEmptyDb = 1 "on-empty-db",
        SwapDb = 2 "swapdb",
    }
}

choice! {
    /// Whether TLS clients must present a certificate.
    TlsAuthClients {
        No = 0 "no",
        Yes = 1 "yes",
        Optional = 2 "optional",
    }
}

choice! {
    /// What of a TLS client's certificate names its ACL user.
    TlsAuthClientsUser {
        Off = 0 "off",
        CommonName = 1 "CN",
        Uri = 2 "URI",
    }
}

choice! {
    /// Which channels a new ACL user may use.
    AclPubsubDefault {
        AllChannels = 4 "allchannels",
        ResetChannels = 0 "resetchannels",
    }
}

choice! {
    /// Whether values that come from RESTORE or a snapshot are checked in full before use.
    SanitizeDumpPayload {
        No = 0 "no",
        Yes = 1 "yes",
        Clients = 2 "clients",
    }
}

choice! {
    /// What a cluster tells clients to connect to.
    ClusterEndpoint {
        Ip = 0 "ip",
        Hostname = 1 "hostname",
        Unknown = 2 "unknown-endpoint",
    }
}

choice! {
    /// What happens when a command received from the primary or the append-only file fails.
    PropagationError {
        Ignore = 0 "ignore",
        Panic = 1 "panic",
        PanicOnReplicas = 2 "panic-on-replicas",
    }
}

/// `yes` and `relative` are the same setting; CONFIG GET answers the first word of a number.
pub const OOM_SCORE_ADJ: &[Word] = &[("no", 0), ("yes", 1), ("relative", 1), ("absolute", 2)];

pub const SYSLOG_FACILITY: &[Word] = &[
    ("user", 8),
    ("local0", 128),
    ("local1", 136),
    ("local2", 144),
    ("local3", 152),
    ("local4", 160),
    ("local5", 168),
    ("local6", 176),
    ("local7", 184),
];

/// What SHUTDOWN does when a signal asks for it; the words combine as bits, `save` and `nosave` exclude each other.
pub const SHUTDOWN_ON_SIGNAL: &[Word] = &[
    ("default", 0),
    ("save", SHUTDOWN_SAVE),
    ("nosave", SHUTDOWN_NOSAVE),
    ("now", SHUTDOWN_NOW),
    ("force", SHUTDOWN_FORCE),
];
/// Save a snapshot even when no save point is configured.
pub const SHUTDOWN_SAVE: i64 = 1;
/// Save no snapshot even when save points are configured.
pub const SHUTDOWN_NOSAVE: i64 = 2;
/// Do not wait for replicas that lag.
pub const SHUTDOWN_NOW: i64 = 4;
/// Exit even when something that normally prevents it fails, such as the last save.
pub const SHUTDOWN_FORCE: i64 = 8;
