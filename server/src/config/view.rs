//! Typed access to settings that are read at start or now and then, and paths resolved against `dir`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::choices::{AppendFsync, Supervised};
use super::{Config, SavePoint, Value};

impl Config {
    /// The value of a yes/no directive.
    ///
    /// # Panics
    /// As the other accessors of this kind: when the table has no such directive, or one of another kind.
    pub fn flag(&self, name: &str) -> bool {
        let Value::Bool(yes) = self.value(name) else { unreachable!("{name} is not a yes/no directive") };
        yes
    }

    /// The value of a numeric directive.
    pub fn number(&self, name: &str) -> i64 {
        let Value::Number(number) = self.value(name) else { unreachable!("{name} is not a number") };
        number
    }

    /// The number of the word, or the bits of the words, of a directive that takes words of a list.
    pub fn choice(&self, name: &str) -> i64 {
        let Value::Choice(choice) = self.value(name) else { unreachable!("{name} is not a choice") };
        choice
    }

    /// The value of a text directive; `None` when it is unset, never an empty text.
    pub fn text(&self, name: &str) -> Option<Vec<u8>> {
        let Value::Text(text) = self.value(name) else { unreachable!("{name} is not a text") };
        text.filter(|text| !text.is_empty())
    }

    /// The value of a text directive that names a file, resolved against [`Config::dir`].
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        let text = self.text(name)?;
        Some(self.dir().join(OsStr::from_bytes(&text)))
    }

    /// The data directory, absolute. Every relative path in the configuration starts here.
    pub fn dir(&self) -> PathBuf {
        let dir = self.text("dir").expect("dir always has a value");
        Path::new(OsStr::from_bytes(&dir)).to_path_buf()
    }

    /// TCP port; 0 means that plain TCP is not listened on.
    pub fn port(&self) -> u16 {
        self.number("port") as u16
    }

    /// TLS port; 0 means that TLS is not listened on.
    pub fn tls_port(&self) -> u16 {
        self.number("tls-port") as u16
    }

    /// Addresses to listen on, as written: a leading `-` makes a failure to bind harmless, `*` and `-::*` are all
    /// IPv4 and all IPv6 addresses. Empty means that no TCP address is bound.
    pub fn bind(&self) -> Vec<String> {
        let Value::Bind(addresses) = self.value("bind") else { unreachable!("bind is a list of addresses") };
        addresses.iter().map(|address| String::from_utf8_lossy(address).into_owned()).collect()
    }

    /// Number of threads that execute commands.
    pub fn threads(&self) -> usize {
        self.number("io-threads") as usize
    }

    /// Number of databases SELECT reaches.
    pub fn databases(&self) -> usize {
        self.number("databases") as usize
    }

    /// When to snapshot; empty means never by itself.
    pub fn save_points(&self) -> Vec<SavePoint> {
        let Value::Save(points) = self.value("save") else { unreachable!("save is a list of points") };
        points
    }

    /// Host and port of the primary; `None` when this server is one itself.
    pub fn replicaof(&self) -> Option<(String, u16)> {
        let Value::ReplicaOf(primary) = self.value("replicaof") else {
            unreachable!("replicaof is host and port")
        };
        primary.map(|(host, port)| (String::from_utf8_lossy(&host).into_owned(), port))
    }

    /// Records that REPLICAOF made this server a replica, or a primary again; CONFIG SET cannot.
    pub fn set_replicaof(&self, primary: Option<(&str, u16)>) {
        let value = primary.map(|(host, port)| (host.as_bytes().to_vec(), port));
        self.replace("replicaof", Value::ReplicaOf(value));
    }

    /// Records the number of clients the operating system allows, when that is less than was asked for.
    pub fn set_maxclients(&self, clients: u32) {
        self.replace("maxclients", Value::Number(i64::from(clients)));
    }

    /// Records the password ACL SETUSER or a user file gave the default user, so that CONFIG GET answers it.
    pub fn set_requirepass(&self, password: Option<&[u8]>) {
        self.replace("requirepass", Value::Text(password.map(<[u8]>::to_vec)));
    }

    /// `acl-pubsub-default`: a new user may use all channels.
    pub fn acl_allows_channels(&self) -> bool {
        self.choice("acl-pubsub-default") == super::choices::AclPubsubDefault::AllChannels as i64
    }

    /// Percentiles of the latency of commands that INFO shows.
    pub fn percentiles(&self) -> Vec<f64> {
        let Value::Percentiles(list) = self.value("latency-tracking-info-percentiles") else {
            unreachable!("the percentiles are a list of numbers")
        };
        list
    }

    /// Adjustments of the out-of-memory score: as primary, as replica, in a child process.
    pub fn oom_scores(&self) -> [i32; 3] {
        let Value::OomScores(scores) = self.value("oom-score-adj-values") else {
            unreachable!("the scores are three numbers")
        };
        scores
    }

    /// When the append-only file reaches the disk.
    pub fn appendfsync(&self) -> AppendFsync {
        AppendFsync::from_number(self.choice("appendfsync"))
    }

    /// Who supervises the process.
    pub fn supervised(&self) -> Supervised {
        Supervised::from_number(self.choice("supervised"))
    }

    /// `cluster` or `standalone`, as INFO and the start-up messages say it.
    pub fn mode(&self) -> &'static str {
        if self.hot().cluster_enabled.get() { "cluster" } else { "standalone" }
    }

    fn replace(&self, name: &str, value: Value) {
        let (row, _) =
            super::directives::find(name.as_bytes()).expect("the code names directives of the table");
        self.store(row, value);
    }
}
