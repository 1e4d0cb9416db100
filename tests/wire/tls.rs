//! Encrypted connections, with certificates made here.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pkcs8::pkcs5::pbes2;
use pkcs8::{EncryptedPrivateKeyInfo, LineEnding, PrivateKeyInfo};
use rcgen::string::Ia5String;
use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use tidegate_tests::clock::wait_until;
use tidegate_tests::resp::{Reply, RespClient, encode_command, simple};
use tidegate_tests::server::TestServer;

use crate::client_memory::{figure, info, waits_for};
use crate::transcript::show;

const PATIENCE: Duration = Duration::from_secs(20);

/// An authority, and where its certificates lie.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
    dir: PathBuf,
}

impl Authority {
    fn new(dir: &Path) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority");
        let certificate = params.self_signed(&key).expect("a certificate");
        let authority = Authority { issuer: Issuer::new(params, key), certificate, dir: dir.to_owned() };
        authority.write("ca.crt", &authority.certificate.pem());
        authority
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.dir.join(name);
        fs::write(&path, text).expect("the directory is writable");
        path.display().to_string()
    }

    /// Makes `<name>.crt` and `<name>.key` for a subject.
    fn sign(&self, name: &str, common_name: &str, uris: &[&str]) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, common_name);
        for uri in uris {
            let uri = Ia5String::try_from(*uri).expect("ASCII");
            params.subject_alt_names.push(SanType::URI(uri));
        }
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        self.write(&format!("{name}.crt"), &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// What a client trusts and, with a certificate's name, shows.
    fn client(
        &self,
        shown: Option<&str>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).expect("it is one");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_protocol_versions(versions).expect("they are known");
        let builder = builder.with_root_certificates(roots);
        let Some(name) = shown else { return Arc::new(builder.with_no_client_auth()) };
        let chain = CertificateDer::pem_file_iter(self.path(&format!("{name}.crt"))).expect("it is there");
        let chain = chain.collect::<Result<Vec<_>, _>>().expect("certificates");
        let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).expect("a key");
        Arc::new(builder.with_client_auth_cert(chain, key).expect("they belong together"))
    }
}

/// A server with a TLS port and an authority of its own.
struct Secured {
    server: TestServer,
    authority: Authority,
    address: SocketAddr,
}

impl Secured {
    fn start(options: &[&str]) -> Self {
        let server = TestServer::tidegate_with(options);
        let authority = Authority::new(server.dir());
        authority.sign("server", "server", &[]);
        authority.sign("client", "client", &["urn:nobody", "spiffe://example/worker"]);
        let mut client = server.client();
        for (directive, file) in
            [("tls-cert-file", "server.crt"), ("tls-key-file", "server.key"), ("tls-ca-cert-file", "ca.crt")]
        {
            assert_eq!(client.call(&["CONFIG", "SET", directive, &authority.path(file)]), simple("OK"));
        }
        // Somebody else may take a port that was free a moment ago.
        let address = (0..5).find_map(|_| {
            let port = free_port();
            let reply = client.call(&["CONFIG", "SET", "tls-port", &port.to_string()]);
            (reply == simple("OK")).then(|| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        });
        Secured { server, authority, address: address.expect("a port is free") }
    }

    fn connect(&self, config: Arc<ClientConfig>) -> io::Result<TlsClient> {
        TlsClient::connect(self.address, config)
    }

    fn with_certificate(&self) -> TlsClient {
        let config = self.authority.client(Some("client"), &[&TLS13, &TLS12]);
        self.connect(config).expect("a connection")
    }

    /// What comes of a connection with these settings: the reply to PING, or nothing.
    fn ping(&self, config: Arc<ClientConfig>) -> Option<Reply> {
        self.connect(config).ok()?.try_call(&["PING"]).ok()
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

struct TlsClient {
    stream: StreamOwned<ClientConnection, TcpStream>,
    input: Vec<u8>,
}

impl TlsClient {
    fn connect(address: SocketAddr, config: Arc<ClientConfig>) -> io::Result<Self> {
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut client = TlsClient { stream: StreamOwned::new(connection, socket), input: Vec::new() };
        client.stream.flush()?;
        Ok(client)
    }

    fn read(&mut self) -> io::Result<Reply> {
        loop {
            if let Some((reply, used)) = Reply::decode(&self.input)? {
                self.input.drain(..used);
                return Ok(reply);
            }
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => self.input.extend_from_slice(&chunk[..n]),
            }
        }
    }

    fn try_call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<Reply> {
        let mut request = Vec::new();
        encode_command(args, &mut request);
        self.stream.write_all(&request)?;
        self.read()
    }

    fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Reply {
        self.try_call(args).expect("a reply")
    }
}

#[test]
fn commands_go_both_ways_encrypted() {
    let secured = Secured::start(&["--io-threads", "2"]);
    for version in [&TLS12, &TLS13] {
        let config = secured.authority.client(Some("client"), &[version]);
        let mut client = secured.connect(config).expect("a connection");
        assert_eq!(client.call(&["PING"]), simple("PONG"));
        let spoken = client.stream.conn.protocol_version();
        assert_eq!(spoken, Some(version.version), "{version:?}");
        // Larger than any buffer, in both directions.
        let large: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
        assert_eq!(client.call(&[&b"SET"[..], b"large", &large]), simple("OK"));
        assert_eq!(client.call(&["GET", "large"]).bytes(), Some(&large[..]));
        // A pipeline, whose replies are larger than its requests.
        let mut pipeline = Vec::new();
        for number in 0..20_000 {
            encode_command(&["ECHO", &format!("{number:0100}")], &mut pipeline);
        }
        client.stream.write_all(&pipeline).expect("it is taken");
        for number in 0..20_000 {
            let reply = client.read().expect("a reply");
            assert_eq!(reply.text(), format!("{number:0100}"));
        }
        assert_eq!(client.call(&["QUIT"]), simple("OK"));
        assert_eq!(client.stream.read(&mut [0]).expect("a goodbye"), 0);
    }
    let mut plain = secured.server.client();
    assert_eq!(plain.line("STRLEN large"), Reply::Int(5_000_000));
}

#[test]
fn certificates_are_asked_for_as_configured() {
    let secured = Secured::start(&[]);
    let mut admin = secured.server.client();
    let with = || secured.ping(secured.authority.client(Some("client"), &[&TLS13, &TLS12]));
    let without = || secured.ping(secured.authority.client(None, &[&TLS13, &TLS12]));
    for (asks, is_served) in [("yes", false), ("no", true), ("optional", true), ("yes", false)] {
        assert_eq!(admin.line(&format!("CONFIG SET tls-auth-clients {asks}")), simple("OK"));
        assert_eq!(with(), Some(simple("PONG")), "{asks}");
        assert_eq!(without().is_some(), is_served, "{asks}");
    }
    // One of another authority is none.
    let scratch = secured.server.dir().join("other");
    fs::create_dir(&scratch).unwrap();
    let other = Authority::new(&scratch);
    other.sign("client", "client", &[]);
    fs::copy(other.path("client.crt"), secured.authority.path("stranger.crt")).unwrap();
    fs::copy(other.path("client.key"), secured.authority.path("stranger.key")).unwrap();
    let stranger = secured.authority.client(Some("stranger"), &[&TLS13, &TLS12]);
    assert_eq!(secured.ping(stranger), None);
    assert_eq!(with(), Some(simple("PONG")));
}

#[test]
fn versions_and_ciphers_are_chosen() {
    let secured = Secured::start(&["--tls-auth-clients", "no"]);
    let mut admin = secured.server.client();
    let mut set = |name: &str, value: &str| admin.call(&["CONFIG", "SET", name, value]);
    let ping = |version| secured.ping(secured.authority.client(None, &[version]));
    assert_eq!(set("tls-protocols", "TLSv1.2"), simple("OK"));
    assert_eq!((ping(&TLS12), ping(&TLS13)), (Some(simple("PONG")), None));
    assert_eq!(set("tls-protocols", "TLSv1.3"), simple("OK"));
    assert_eq!((ping(&TLS12), ping(&TLS13)), (None, Some(simple("PONG"))));
    assert_eq!(set("tls-protocols", ""), simple("OK"));
    assert_eq!(set("tls-ciphers", "ECDHE+AES256:!aRSA"), simple("OK"));
    let mut client = secured.connect(secured.authority.client(None, &[&TLS12])).unwrap();
    assert_eq!(client.call(&["PING"]), simple("PONG"));
    let suite = client.stream.conn.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(suite, rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384);
    let refused = "-ERR CONFIG SET failed (possibly related to argument 'NAME') - Unable to update TLS configuration. Check \
                   server logs.";
    for (name, value) in [
        ("tls-protocols", "SSLv3"),
        ("tls-protocols", "TLSv1"),
        ("tls-ciphers", "AES128-SHA256"),
        ("tls-ciphersuites", "nonsense"),
        ("tls-cert-file", "/nonexistent"),
        ("tls-cert-file", "log"),
        ("tls-key-file", "ca.crt"),
        ("tls-ca-cert-dir", "/nonexistent"),
    ] {
        // Where nobody is asked for a certificate nobody reads the authorities.
        if name != "tls-ca-cert-dir" {
            assert_eq!(show(&set(name, value)), refused.replace("NAME", name), "{value}");
        }
        assert_eq!(
            (ping(&TLS12), ping(&TLS13)),
            (Some(simple("PONG")), Some(simple("PONG"))),
            "{name} {value}"
        );
    }
    assert_eq!(show(&set("tls-auth-clients", "yes")), "OK");
    assert_eq!(
        show(&set("tls-ca-cert-file", "")),
        "-ERR CONFIG SET failed (possibly related to argument \
        'tls-ca-cert-file') - Unable to update TLS configuration. Check server logs."
    );
}

/// The key of this name, encrypted; few rounds, since nobody has to be kept from guessing.
fn encrypted(authority: &Authority, name: &str, password: &str) -> String {
    let key = PrivateKeyDer::from_pem_file(authority.path(&format!("{name}.key"))).expect("a key");
    let parameters = pbes2::Parameters::pbkdf2_sha256_aes256cbc(1000, &[7; 16], &[9; 16]).expect("they fit");
    let key = PrivateKeyInfo::try_from(key.secret_der()).expect("PKCS #8");
    let document = key.encrypt_with_params(parameters, password).expect("it is encrypted");
    assert!(EncryptedPrivateKeyInfo::try_from(document.as_bytes()).is_ok());
    document.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).expect("text").to_string()
}

#[test]
fn keys_may_be_encrypted() {
    let secured = Secured::start(&[]);
    let authority = &secured.authority;
    let mut admin = secured.server.client();
    let mut set = |name: &str, value: &str| show(&admin.call(&["CONFIG", "SET", name, value]));
    let refused = "Unable to update TLS configuration. Check server logs.";
    let key = authority.write("encrypted.key", &encrypted(authority, "server", "pass word"));
    assert!(set("tls-key-file", &key).contains(refused));
    assert_eq!(set("tls-key-file-pass", "another"), "OK");
    assert!(set("tls-key-file", &key).contains(refused));
    assert_eq!(secured.with_certificate().call(&["PING"]), simple("PONG"));
    assert_eq!(set("tls-key-file-pass", "pass word"), "OK");
    assert_eq!(set("tls-key-file", &key), "OK");
    assert_eq!(secured.with_certificate().call(&["PING"]), simple("PONG"));
    // All in one file, with words in between.
    let certificate = fs::read_to_string(authority.path("server.crt")).unwrap();
    let both = format!(
        "a certificate\n{certificate}\nand its key\n{}\nthe end\n",
        fs::read_to_string(&key).unwrap()
    );
    let both = authority.write("both.pem", &both);
    assert_eq!(set("tls-key-file", &both), "OK");
    assert_eq!(set("tls-cert-file", &both), "OK");
    assert_eq!(secured.with_certificate().call(&["PING"]), simple("PONG"));
    let log = secured.server.log();
    assert!(log.contains("tls-key-file-pass is not set") && log.contains("tls-key-file-pass does not fit"));
    assert!(!log.contains("pass word") && !log.contains("another"));
}

#[test]
fn files_that_hold_something_else_are_refused() {
    let secured = Secured::start(&[]);
    let authority = &secured.authority;
    let mut admin = secured.server.client();
    let mut refuse = |settings: &[&str], why: &str| {
        let reply = show(&admin.call(&[&["CONFIG", "SET"], settings].concat()));
        assert!(
            reply.contains("Unable to update TLS configuration. Check server logs."),
            "{settings:?}: {reply}"
        );
        let log = secured.server.log();
        assert!(log.contains(why), "{settings:?}: {why}");
        assert_eq!(secured.with_certificate().call(&["PING"]), simple("PONG"), "{settings:?}");
    };
    let garbage = "-----BEGIN CERTIFICATE-----\nbm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n";
    let garbage = authority.write("garbage.crt", garbage);
    refuse(&["tls-cert-file", &garbage], "Failed to load certificate: ");
    refuse(&["tls-ca-cert-file", &garbage], "Failed to load CA certificate: ");
    // It has no end.
    for name in ["tls-cert-file", "tls-key-file", "tls-ca-cert-file"] {
        refuse(&[name, "/dev/zero"], "/dev/zero: not a file");
    }
    let huge = authority.path("huge.crt");
    fs::File::create(&huge).and_then(|file| file.set_len(1 << 40)).unwrap();
    refuse(&["tls-cert-file", &huge], "huge.crt: file too large");
    // Those that this server would show to others.
    let (certificate, key) = (authority.path("client.crt"), authority.path("server.key"));
    refuse(
        &["tls-client-cert-file", &certificate, "tls-client-key-file", &key],
        "server.key: it does not belong to the certificate",
    );
}

#[test]
fn certificates_are_replaced_while_connections_stay() {
    let secured = Secured::start(&[]);
    let mut before = secured.with_certificate();
    assert_eq!(before.call(&["PING"]), simple("PONG"));
    let shown = |client: &TlsClient| client.stream.conn.peer_certificates().map(|chain| chain[0].to_vec());
    let old = shown(&before);
    secured.authority.sign("server", "server of tomorrow", &[]);
    // The file has the name it had. A key alone does not belong to the certificate.
    let mut admin = secured.server.client();
    let (certificate, key) = (secured.authority.path("server.crt"), secured.authority.path("server.key"));
    let both = ["CONFIG", "SET", "tls-cert-file", &certificate, "tls-key-file", &key];
    assert_eq!(admin.call(&both), simple("OK"));
    let mut after = secured.with_certificate();
    assert_eq!(after.call(&["PING"]), simple("PONG"));
    assert_ne!(shown(&after), old);
    assert_eq!(before.call(&["PING"]), simple("PONG"));
    let mismatched = ["CONFIG", "SET", "tls-key-file", &secured.authority.path("client.key")];
    assert!(show(&admin.call(&mismatched)).contains("Unable to update TLS configuration"));
    assert_eq!(secured.with_certificate().call(&["PING"]), simple("PONG"));
}

#[test]
fn a_certificate_names_the_user_of_its_connection() {
    let secured = Secured::start(&["--tls-auth-clients", "optional"]);
    let mut admin = secured.server.client();
    assert_eq!(admin.line("CONFIG SET requirepass secret"), simple("OK"));
    assert_eq!(admin.line("AUTH secret"), simple("OK"));
    for line in [
        "ACL SETUSER client on >p1 +@all ~*",
        "ACL SETUSER spiffe://example/worker on >p2 +get +acl|whoami ~work:*",
        "ACL SETUSER off >p3 +@all ~*",
    ] {
        assert_eq!(admin.line(line), simple("OK"));
    }
    let noauth = "-NOAUTH Authentication required.";
    let whoami = |name: Option<&str>| {
        let config = secured.authority.client(name, &[&TLS13, &TLS12]);
        show(&secured.connect(config).expect("a connection").call(&["ACL", "WHOAMI"]))
    };
    assert_eq!(whoami(Some("client")), noauth);
    assert_eq!(admin.line("CONFIG SET tls-auth-clients-user CN"), simple("OK"));
    assert_eq!(whoami(Some("client")), "\"client\"");
    assert_eq!(whoami(None), noauth);
    for (name, subject) in
        [("off", "off"), ("nobody", "nobody"), ("nul", "client\0.example"), ("long", "client ")]
    {
        secured.authority.sign(name, subject, &[]);
        assert_eq!(whoami(Some(name)), noauth, "{subject:?}");
    }
    assert_eq!(admin.line("CONFIG SET tls-auth-clients-user uri"), simple("OK"));
    assert_eq!(show(&admin.line("CONFIG GET tls-auth-clients-user")), r#"["tls-auth-clients-user" "URI"]"#);
    assert_eq!(whoami(Some("client")), "\"spiffe://example/worker\"");
    let mut worker = secured.with_certificate();
    assert_eq!(show(&worker.call(&["GET", "work:1"])), "nil");
    assert!(show(&worker.call(&["GET", "other"])).starts_with("-NOPERM"));
    // It may become somebody else, by that one's password.
    assert_eq!(worker.call(&["AUTH", "client", "p1"]), simple("OK"));
    assert_eq!(show(&worker.call(&["ACL", "WHOAMI"])), "\"client\"");
}

/// Keys, what waits for its record's end and what the peer does not take count like other memory of connections.
#[test]
fn what_encryption_occupies_is_counted() {
    const CLIENTS: usize = 100;
    let secured = Secured::start(&["--io-threads", "1"]);
    let mut admin = secured.server.client();
    for version in [&TLS12, &TLS13] {
        let connect = |name: &str| {
            let config = secured.authority.client(Some("client"), &[version]);
            let mut client = secured.connect(config).expect("a connection");
            assert_eq!(client.call(&["CLIENT", "SETNAME", name]), simple("OK"));
            client
        };
        // What the first of them makes ready stays.
        drop(connect("first"));
        let mut plain = secured.server.client();
        plain.line("CLIENT SETNAME plain");
        let plain = figure(&mut admin, "plain", "tot-mem").expect("connected");
        let before = info(&mut admin, "used_memory");
        let many: Vec<_> = (0..CLIENTS).map(|_| connect("idle")).collect();
        let each = (info(&mut admin, "used_memory") - before) / CLIENTS;
        let told = figure(&mut admin, "idle", "tot-mem").expect("connected");
        println!("MEASURED {version:?} plain {plain} each {each} told {told}");
        assert!(told > plain + 4096, "{version:?}: {told}, and {plain} without");
        assert!((each * 2 / 3..each * 3 / 2).contains(&told), "{version:?}: {told} of {each}");
        drop(many);
        let mut half = connect("half");
        let idle = figure(&mut admin, "half", "tot-mem").expect("connected");
        let mut records = Vec::new();
        half.stream.conn.writer().write_all(&[b'x'; 16_000]).expect("it is taken");
        while half.stream.conn.wants_write() {
            half.stream.conn.write_tls(&mut records).expect("it is taken");
        }
        half.stream.sock.write_all(&records[..15_000]).expect("it is sent");
        waits_for(&mut admin, "half", "tot-mem", idle + 14_000);
        // It asks for much, and takes nothing.
        let mut slow = connect("slow");
        assert_eq!(slow.call(&["SET", "large", &"x".repeat(8_000_000)]), simple("OK"));
        let mut request = Vec::new();
        encode_command(&["GET", "large"], &mut request);
        slow.stream.write_all(&request).expect("it is sent");
        waits_for(&mut admin, "slow", "omem", 1_000_000);
        let (total, room) = (figure(&mut admin, "slow", "tot-mem"), figure(&mut admin, "slow", "rbs"));
        assert!(
            total.expect("connected") >= room.expect("connected") + told - plain + 16_000,
            "{total:?} {room:?}"
        );
        drop((half, slow));
    }
    // Who comes encrypted is evicted for it.
    assert_eq!(admin.line("CLIENT NO-EVICT ON"), simple("OK"));
    let is_over = |admin: &mut RespClient| info(admin, "connected_clients") == 1;
    assert!(wait_until(PATIENCE, || is_over(&mut admin)));
    assert_eq!(admin.line("CONFIG SET maxmemory-clients 400kb"), simple("OK"));
    let many: Vec<_> = (0..CLIENTS)
        .filter_map(|_| secured.ping(secured.authority.client(Some("client"), &[&TLS13])))
        .collect();
    assert_eq!(many.len(), CLIENTS, "one after the other");
    let config = secured.authority.client(Some("client"), &[&TLS13]);
    let many: Vec<_> = (0..CLIENTS).map(|_| secured.connect(Arc::clone(&config))).collect();
    assert!(wait_until(PATIENCE, || info(&mut admin, "evicted_clients") > 0));
    drop(many);
}

#[test]
fn who_does_not_speak_it_is_closed_and_holds_up_nobody() {
    let secured = Secured::start(&["--io-threads", "1"]);
    // These begin and go no further.
    let half: Vec<TcpStream> = (0..50)
        .map(|number| {
            let mut socket = TcpStream::connect(secured.address).unwrap();
            socket.write_all(&[22, 3, 1, 1, number]).unwrap();
            socket
        })
        .collect();
    for nonsense in [&b"PING\r\n"[..], b"*1\r\n$4\r\nPING\r\n", b"GET / HTTP/1.0\r\n\r\n", &[255; 100]] {
        let mut socket = TcpStream::connect(secured.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        // It may be closed before all of it is sent.
        let _ = socket.write_all(nonsense);
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        // An alert is for those who speak TLS. Clients of Redis take it for a reply that they do not understand.
        assert!(answer.is_empty(), "{}", answer.escape_ascii());
    }
    assert_eq!(secured.with_certificate().call(&["PING"]), simple("PONG"));
    drop(half);
    let mut admin = secured.server.client();
    let is_alone = |client: &mut RespClient| client.line("CLIENT LIST").text().lines().count() == 1;
    assert!(wait_until(PATIENCE, || is_alone(&mut admin)));
}

#[test]
fn the_port_moves_and_goes() {
    let secured = Secured::start(&[]);
    let mut admin = secured.server.client();
    let mut client = secured.with_certificate();
    assert_eq!(admin.line("CONFIG SET tls-port 0"), simple("OK"));
    assert!(TcpStream::connect(secured.address).is_err());
    assert_eq!(client.call(&["PING"]), simple("PONG"));
    assert_eq!(admin.line(&format!("CONFIG SET tls-port {}", secured.address.port())), simple("OK"));
    assert_eq!(secured.with_certificate().call(&["PING"]), simple("PONG"));
    // Subscribers are told over it, too.
    client.call(&["SUBSCRIBE", "news"]);
    assert_eq!(admin.line("PUBLISH news now"), Reply::Int(1));
    let message = client.read().unwrap();
    assert_eq!(
        message.items().map(|items| items.iter().map(Reply::text).collect::<Vec<_>>().join(" ")).as_deref(),
        Some("message news now")
    );
}

/// What comes behind a goodbye is nobody's, and who says goodbye is told the rest.
#[test]
fn a_goodbye_is_the_end() {
    let secured = Secured::start(&["--io-threads", "1"]);
    for version in [&TLS12, &TLS13] {
        let config = secured.authority.client(Some("client"), &[version]);
        let mut client = secured.connect(Arc::clone(&config)).unwrap();
        assert_eq!(client.call(&["PING"]), simple("PONG"));
        client.stream.conn.send_close_notify();
        let mut last = Vec::new();
        client.stream.conn.write_tls(&mut last).unwrap();
        last.resize(last.len() + 40_000, 7);
        client.stream.sock.write_all(&last).unwrap();
        assert_eq!(client.stream.read(&mut [0]).unwrap_or(0), 0);
        assert_eq!(secured.with_certificate().call(&["PING"]), simple("PONG"));

        // Together with the last request, and the socket stays open.
        let mut client = secured.connect(Arc::clone(&config)).unwrap();
        assert_eq!(client.call(&["SET", "large", &"x".repeat(300_000)]), simple("OK"));
        let mut request = Vec::new();
        encode_command(&["GET", "large"], &mut request);
        client.stream.conn.writer().write_all(&request).unwrap();
        client.stream.conn.send_close_notify();
        let mut last = Vec::new();
        while client.stream.conn.wants_write() {
            client.stream.conn.write_tls(&mut last).unwrap();
        }
        client.stream.sock.write_all(&last).unwrap();
        assert_eq!(client.read().unwrap().bytes().map(<[u8]>::len), Some(300_000));
        assert_eq!(client.stream.read(&mut [0]).unwrap(), 0);

        // A record that was changed on its way.
        let mut client = secured.connect(config).unwrap();
        assert_eq!(client.call(&["PING"]), simple("PONG"));
        client.stream.sock.write_all(&[23, 3, 3, 0, 32]).unwrap();
        client.stream.sock.write_all(&[9; 32]).unwrap();
        assert!(client.stream.read(&mut [0]).is_err(), "an alert");
        let mut rest = Vec::new();
        let _ = client.stream.sock.read_to_end(&mut rest);
    }
}
