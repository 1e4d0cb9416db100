use super::*;

fn load(text: &str) -> Result<Config, String> {
    let mut config = Config::new(4, Path::new("/tmp"));
    let sources = Sources { input: Some(text.as_bytes().to_vec()), ..Sources::default() };
    config.load(&sources).map(|()| config).map_err(|error| error.to_string())
}

fn get(config: &Config, name: &str) -> String {
    String::from_utf8(config.get_one(name).expect("a directive of the table")).unwrap()
}

/// A directory of its own that is gone after the test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tidegate-config-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn lines_set_directives_with_quotes_comments_and_aliases() {
    let text = "# comment\n\n  PORT 7000  \nrequirepass \"a\\x20b\"\nslaveof 10.0.0.1 6379\nbind 127.0.0.1 -::1\n\
                daemonize YES\nunixsocketperm 770\nlogfile ''\nlist-max-ziplist-entries 5\nlua-time-limit 7\n\
                shutdown-on-sigint \"nosave force\"\nmaxmemory 100mb\n";
    let config = load(text).unwrap();
    assert_eq!(config.port(), 7000);
    assert_eq!(get(&config, "requirepass"), "a b");
    assert_eq!(config.replicaof(), Some(("10.0.0.1".to_owned(), 6379)));
    assert_eq!(config.bind(), ["127.0.0.1", "-::1"]);
    assert!(config.flag("daemonize"));
    assert_eq!(get(&config, "unixsocketperm"), "770");
    assert_eq!(get(&config, "shutdown-on-sigint"), "nosave force");
    assert_eq!(config.hot().maxmemory.get(), 100 << 20);
    assert_eq!(config.hot().busy_reply_threshold.get(), 7);
}

#[test]
fn a_bad_line_is_quoted_with_its_number() {
    let start = |number: usize, line: &str| {
        format!(
            "\n*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\nReading the configuration file, at line {number}\n>>> '{line}'\n"
        )
    };
    let cases = [
        ("\nprt 5", 2, "prt 5", "Bad directive or wrong number of arguments"),
        ("port", 1, "port", "wrong number of arguments"),
        ("requirepass s3cret s3cret", 1, "requirepass (redacted)", "wrong number of arguments"),
        ("  MasterAuth \"s3cret", 1, "MasterAuth (redacted)", "Unbalanced quotes in configuration line"),
        (
            "user a on >s3cret '(~x #s3cret)' \"<s3cret",
            1,
            "user a on >(redacted) '(~x #(redacted) \"<(redacted)",
            "Unbalanced quotes in configuration line",
        ),
        ("port 1 2", 1, "port 1 2", "wrong number of arguments"),
        ("port \"1", 1, "port \"1", "Unbalanced quotes in configuration line"),
        ("port x", 1, "port x", "argument couldn't be parsed into an integer"),
        (
            "shutdown-on-sigint",
            1,
            "shutdown-on-sigint",
            "argument(s) must be one of the following: default, save, nosave, now, force",
        ),
        ("replicaof 127.0.0.1 abc", 1, "replicaof 127.0.0.1 abc", "Invalid master port"),
        ("replicaof 127.0.0.1", 1, "replicaof 127.0.0.1", "wrong number of arguments"),
        ("dir /no/such/place", 1, "dir /no/such/place", "No such file or directory"),
        ("include", 1, "include", "Bad directive or wrong number of arguments"),
        ("lua-replicate-commands", 1, "lua-replicate-commands", "Bad directive or wrong number of arguments"),
        ("sentinel monitor a b", 1, "sentinel monitor a b", "sentinel directive while not in sentinel mode"),
        (
            "loadmodule x.so",
            1,
            "loadmodule x.so",
            "Tidegate cannot load Redis modules; remove the loadmodule directive",
        ),
        ("search.limit", 1, "search.limit", "Module config specified without value"),
        ("dbfilename a/b", 1, "dbfilename a/b", "dbfilename can't be a path, just a filename"),
        ("appendfilename ''", 1, "appendfilename ''", "appendfilename can't be empty"),
    ];
    for (text, number, line, reason) in cases {
        assert_eq!(load(text).err(), Some(start(number, line) + reason), "{text}");
    }
    let both = load("cluster-enabled yes\nreplicaof h 1\n").err();
    let expected =
        "\n*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\nreplicaof directive not allowed in cluster mode";
    assert_eq!(both.as_deref(), Some(expected));
}

#[test]
fn save_lines_replace_the_defaults_and_add_to_each_other() {
    let cases = [
        ("port 1", "3600 1 300 100 60 10000"),
        ("save 900 1", "900 1"),
        ("save 900 1\nsave 100 100", "900 1 100 100"),
        ("save 900 1 300 10", "900 1 300 10"),
        ("save \"900 1 300 10\"", "900 1 300 10"),
        ("save 900 1\nsave \"\"", ""),
        ("save \"\"\nsave 5 6", "5 6"),
        ("save", ""),
    ];
    for (text, points) in cases {
        assert_eq!(get(&load(text).unwrap(), "save"), points, "{text}");
    }
}

#[test]
fn other_lines_are_kept_with_their_places() {
    let config = load("rename-command FLUSHALL \"\"\nuser alice on >pw ~* +@all\n").unwrap();
    let [rename, user] = config.commands() else { panic!("two lines") };
    assert_eq!(rename.value, Command::Rename { from: b"FLUSHALL".to_vec(), to: Vec::new() });
    let rules = ["on", ">pw", "~*", "+@all"].map(|rule| rule.as_bytes().to_vec()).to_vec();
    assert_eq!(user.value, Command::User { name: b"alice".to_vec(), rules });
    let refused = rename.refuse("No such command in rename-command").to_string();
    assert!(
        refused.ends_with("at line 1\n>>> 'rename-command FLUSHALL \"\"'\nNo such command in rename-command")
    );
}

#[test]
fn include_reads_files_and_patterns_from_the_data_directory() {
    let dir = Dir::new("include");
    dir.write("main.conf", "include one.conf\ninclude conf.d/*.conf\ninclude empty/*.conf\nhz 20");
    dir.write("one.conf", "port 1111");
    dir.write("conf.d/b.conf", "timeout 9");
    dir.write("conf.d/a.conf", "timeout 8\nport 2222");
    dir.write("conf.d/.hidden.conf", "port 3333");
    let mut config = Config::new(1, &dir.0);
    let sources = Sources {
        file: Some("main.conf".into()),
        input: Some(b"\nhz 30".to_vec()),
        options: Some(b"maxclients 7".to_vec()),
    };
    config.load(&sources).unwrap();
    let values = ["port", "timeout", "hz", "maxclients"].map(|name| get(&config, name));
    assert_eq!(values, ["2222", "9", "30", "7"]);
    assert_eq!(config.file(), Some(dir.0.join("main.conf").as_path()));

    dir.write("loop.conf", "include loop.conf");
    let sources = Sources { file: Some("loop.conf".into()), ..Sources::default() };
    assert!(
        Config::new(1, &dir.0).load(&sources).unwrap_err().to_string().contains("Too many nested include")
    );
    let sources = Sources { file: Some("absent.conf".into()), ..Sources::default() };
    let error = Config::new(1, &dir.0).load(&sources).unwrap_err().to_string();
    assert_eq!(error, "Fatal error, can't open config file 'absent.conf': No such file or directory");
}

#[test]
fn relative_paths_start_in_the_data_directory() {
    let dir = Dir::new("paths");
    fs::create_dir(dir.0.join("data")).unwrap();
    let mut config = Config::new(1, &dir.0);
    let sources = Sources {
        input: Some(b"dir ./data\nlogfile log\npidfile /run/x.pid".to_vec()),
        ..Sources::default()
    };
    config.load(&sources).unwrap();
    assert_eq!(config.dir(), dir.0.join("data"));
    assert_eq!(config.path("logfile"), Some(dir.0.join("data/log")));
    assert_eq!(config.path("pidfile"), Some("/run/x.pid".into()));
    assert!(
        dir.0.join("data/log").exists(),
        "that the log can be written is tried while someone still listens"
    );
    let sources = Sources { input: Some(b"logfile /no/such/dir/log".to_vec()), ..Sources::default() };
    let error = Config::new(1, &dir.0).load(&sources).unwrap_err().to_string();
    assert!(error.ends_with("Can't open the log file: No such file or directory"), "{error}");
}

#[test]
fn without_a_file_the_server_keeps_to_this_computer_and_a_file_means_what_it_means_to_redis() {
    let dir = Dir::new("bind");
    let mut config = Config::new(1, &dir.0);
    config.load(&Sources { options: Some(b"port 7000".to_vec()), ..Sources::default() }).unwrap();
    assert_eq!(config.bind(), ["127.0.0.1", "-::1"]);

    dir.write("redis.conf", "port 7000\n");
    let mut config = Config::new(1, &dir.0);
    config.load(&Sources { file: Some("redis.conf".into()), ..Sources::default() }).unwrap();
    assert_eq!(config.bind(), ["*", "-::*"]);
    assert!(config.is_default("bind"), "CONFIG REWRITE does not write it");
}

#[test]
fn the_example_file_explains_every_directive_and_changes_nothing() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut config = Config::new(4, dir);
    let sources = Sources { file: Some("redis.conf.example".into()), ..Sources::default() };
    config.load(&sources).unwrap();
    assert_eq!(config.get(&[b"*"]), Config::new(4, &dir.canonicalize().unwrap()).get(&[b"*"]));

    let text = fs::read_to_string(dir.join("redis.conf.example")).unwrap();
    let names: Vec<&str> =
        text.lines().filter_map(|line| line.trim_start_matches("# ").split(' ').next()).collect();
    for row in directives::all() {
        assert!(names.contains(&row.name), "{} is not in redis.conf.example", row.name);
        if let Some(alias) = row.alias {
            assert!(text.contains(&format!("#     {alias} ")), "{alias} is not among the old names");
        }
    }
}
