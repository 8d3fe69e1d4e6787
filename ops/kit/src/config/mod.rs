//! Configuration: built-in defaults, a file, the environment, the command line.
//!
//! It is read once at start and validated as a whole; nothing reads the environment later. Every
//! problem is listed at once, with the key, the value, where it was given and what to do. Secrets
//! are redacted by their type.

mod env;
mod load;
mod network;
mod oauth;
mod problems;
mod properties;
mod schema;
mod secret;
mod sections;
mod show;
pub mod units;
mod validate;

pub use self::load::{Loaded, Sources};
pub use self::network::Network;
pub use self::oauth::OauthProvider;
pub use self::problems::{ConfigProblem, ConfigProblems};
pub use self::properties::Properties;
pub use self::schema::DEFAULT_TOML;
pub use self::secret::{Secret, SecretFileError, SecretSource};
pub use self::sections::{
    AccessLog, Breaker, Config, Data, GroupProtocol, Http, Index, Ingest, Instance, Kafka, Keys,
    KeysStore, Limits, LocalLog, Log, LogFormat, Mail, MailBackend, Media, OauthProviders, Ops,
    Rate, Registration, Registry, Scylla, Smtp, SmtpTls, Snapshots, Telemetry, Tokens, Views,
};
pub use self::show::ShownValue;

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Sources {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Sources { environment: pairs.iter().map(own).collect(), ..Sources::default() }
    }

    #[test]
    fn later_layers_win_and_say_where_a_value_comes_from() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("city.toml");
        std::fs::write(
            &file,
            "[log]\npartitions = 8\nprefix = \"a-\"\n[views]\ncache = \"1 MiB\"\n",
        )
        .unwrap();
        let mut sources = environment(&[
            ("CITYEVENTS__LOG__PREFIX", "42"),
            ("CITYEVENTS__HTTP__TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
            ("UNRELATED", "1"),
        ]);
        sources.file = Some(file.clone());
        sources.overrides.push(("http.listen".to_owned(), "127.0.0.1:0".to_owned()));
        let loaded = Config::load(sources).unwrap();
        assert_eq!(loaded.config.log.partitions, 8);
        assert_eq!(loaded.config.log.prefix, "42");
        assert_eq!(loaded.config.views.cache, 1 << 20);
        assert_eq!(loaded.config.http.trusted_proxies.len(), 2);
        assert_eq!(loaded.config.http.listen.port(), 0);
        let shown = loaded.show();
        let origin = |key: &str| &shown.iter().find(|value| value.key == key).unwrap().origin;
        assert_eq!(origin("log.partitions"), &file.display().to_string());
        assert_eq!(origin("log.prefix"), "environment variable CITYEVENTS__LOG__PREFIX");
        assert_eq!(origin("http.listen"), "command line");
        assert_eq!(origin("ops.listen"), "default");
    }

    #[test]
    fn every_problem_is_listed_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("city.toml");
        std::fs::write(
            &file,
            "[log]\npartitions = \"many\"\nprefixx = \"\"\n[ingest]\nwait = \"20s\"\n[view]\nx = 1\n",
        )
        .unwrap();
        let mut sources = environment(&[
            ("CITYEVENTS__HTTP__LISTEN", "nowhere"),
            ("CITYEVENTS__HTTP__CORS_ORIGINS", "*"),
            ("CITYEVENTS__DATA", "x"),
            ("CITYEVENTS__VIEWS__CACHE__SIZE", "1"),
        ]);
        sources.file = Some(file);
        let problems = Config::load(sources).unwrap_err();
        let keys: Vec<_> = problems.0.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "data",
                "http.cors_origins",
                "http.listen",
                "ingest.wait",
                "log.partitions",
                "log.prefixx",
                "view.x",
                "views.cache.size"
            ]
        );
        let text = problems.to_string();
        assert!(text.contains("8 problems"), "{text}");
        assert!(text.contains("did you mean log.prefix?"), "{text}");
        assert!(text.contains("CITYEVENTS__HTTP__LISTEN"), "{text}");
    }

    #[test]
    fn a_file_that_is_no_toml_names_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("city.toml");
        std::fs::write(&file, "[log]\npartitions = = 3\n").unwrap();
        let problems =
            Config::load(Sources { file: Some(file), ..Sources::default() }).unwrap_err();
        assert!(problems.to_string().contains("line 2"), "{problems}");
        let absent = Sources { file: Some("/nonexistent/city.toml".into()), ..Sources::default() };
        assert!(Config::load(absent).unwrap_err().to_string().contains("--config"));
    }

    #[test]
    fn properties_keep_their_dots_from_every_layer_and_hide_passwords() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("city.toml");
        let text = "[kafka.properties]\n\"security.protocol\" = \"SASL_SSL\"\nlinger.ms = 5\n";
        std::fs::write(&file, text).unwrap();
        let mut sources =
            environment(&[("CITYEVENTS__KAFKA__PROPERTIES__SASL__PASSWORD", "hunter2")]);
        sources.file = Some(file);
        let loaded = Config::load(sources).unwrap();
        let properties = loaded.config.kafka.properties.expose();
        assert_eq!(properties["security.protocol"], "SASL_SSL");
        assert_eq!(properties["linger.ms"], "5");
        assert_eq!(properties["sasl.password"], "hunter2");
        let shown: Vec<String> = loaded.show().iter().map(ToString::to_string).collect();
        let shown = shown.join("\n");
        assert!(shown.contains("kafka.properties.security.protocol = \"SASL_SSL\""), "{shown}");
        assert!(!format!("{shown}{loaded:?}").contains("hunter2"));
    }

    #[test]
    fn a_cluster_needs_nodes_for_its_tables() {
        let sources = environment(&[("CITYEVENTS__KAFKA__BROKERS", "a:9092,b:9092")]);
        let problems = Config::load(sources).unwrap_err().to_string();
        assert!(problems.contains("scylla.nodes"), "{problems}");
    }

    #[test]
    fn secrets_are_printed_nowhere() {
        let secret = "aGVsbG8taGVsbG8taGVsbG8taGVsbG8taGVsbG8taGU=";
        let loaded =
            Config::load(environment(&[("CITYEVENTS__KEYS__INSTANCE_SECRET", secret)])).unwrap();
        assert_eq!(loaded.config.keys.instance_secret.as_ref().unwrap().expose(), secret);
        let shown: Vec<String> = loaded.show().iter().map(ToString::to_string).collect();
        assert!(!shown.join("\n").contains(secret));
        assert!(!format!("{loaded:?}").contains(secret));
        let wrong = "[keys]\ninstance_secret = 777123\n";
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("city.toml");
        std::fs::write(&file, wrong).unwrap();
        let problems =
            Config::load(Sources { file: Some(file), ..Sources::default() }).unwrap_err();
        assert!(!problems.to_string().contains("777123"), "{problems}");
    }
}
