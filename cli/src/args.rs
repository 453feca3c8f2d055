//! Flags, variables and subcommands.

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Controls how requests are routed between services.
#[derive(Debug, Parser)]
#[command(name = "a8ctl", version, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 refused or unreachable, 2 wrong usage.")]
pub struct Args {
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the servers are.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Servers")]
pub(crate) struct Servers {
    /// Controller: http://host:port
    #[arg(
        long,
        alias = "controller_url",
        env = "A8_CONTROLLER_URL",
        global = true,
        value_name = "URL"
    )]
    pub(crate) controller_url: Option<String>,
    /// Token for the controller
    #[arg(
        long,
        alias = "controller_token",
        env = "A8_CONTROLLER_TOKEN",
        global = true,
        value_name = "TOKEN",
        hide_env_values = true
    )]
    pub(crate) controller_token: Option<String>,
    /// Registry: http://host:port
    #[arg(
        long,
        alias = "registry_url",
        env = "A8_REGISTRY_URL",
        global = true,
        value_name = "URL"
    )]
    pub(crate) registry_url: Option<String>,
    /// Token for the registry
    #[arg(
        long,
        alias = "registry_token",
        env = "A8_REGISTRY_TOKEN",
        global = true,
        value_name = "TOKEN",
        hide_env_values = true
    )]
    pub(crate) registry_token: Option<String>,
    /// Show every request and answer on standard error; of a cluster's, all but the bodies
    #[arg(long, env = "A8_DEBUG", global = true, value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) debug: bool,
    #[cfg(feature = "kubernetes")]
    #[command(flatten)]
    pub(crate) place: Place,
}

/// Which cluster, in the place of servers.
#[cfg(feature = "kubernetes")]
#[derive(Debug, Clone, Default, ClapArgs)]
#[command(next_help_heading = "Kubernetes")]
pub(crate) struct Place {
    /// Work on a cluster itself, without controller and registry
    #[arg(long, env = "A8_KUBERNETES", global = true, value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) kubernetes: bool,
    /// Its namespace, by default that of the context; implies --kubernetes
    #[arg(long, short, global = true, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,
    /// The context of the kubeconfig, by default the current one; implies --kubernetes
    #[arg(long, global = true, value_name = "CONTEXT")]
    pub(crate) context: Option<String>,
    /// The kubeconfig, by default as KUBECONFIG says; implies --kubernetes
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<std::path::PathBuf>,
}

#[cfg(feature = "kubernetes")]
impl Place {
    /// Whether it is a cluster that is meant.
    pub(crate) fn is_meant(&self) -> bool {
        let named = self.namespace.is_some() || self.context.is_some();
        self.kubernetes || named || self.kubeconfig.is_some()
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create routing and action rules from a file or standard input
    RuleCreate(Write),
    /// Replace rules, each named by its id
    RuleUpdate(Write),
    /// Show rules as documents
    RuleGet(Get),
    /// Delete rules
    RuleDelete(Delete),
    /// List how requests to each service are routed
    RouteList(RouteList),
    /// List faults and traces
    ActionList(ActionList),
    /// List services, and how many instances of each version take requests
    ServiceList(Listing),
    /// Ask a sidecar where a request would go, and why
    Explain(Explain),
    /// Print all rules and instances, for `import` into servers with another store
    Export(Export),
    /// Create the rules and register the instances that `export` printed
    Import(Import),
    /// Print all that a cluster needs: a8ctl install | kubectl apply -f -
    #[cfg(feature = "kubernetes")]
    Install(Install),
    /// Look whether a cluster has what it needs, and what to do where it has not
    #[cfg(feature = "kubernetes")]
    Check(Listing),
    /// Print manifests with a sidecar in each pod: a8ctl inject -f app.yaml | kubectl apply -f -
    #[cfg(feature = "kubernetes")]
    Inject(Inject),
    /// Show the settings in effect
    #[command(alias = "i")]
    Info(Listing),
    /// Print a completion script: source <(a8ctl completion bash)
    Completion {
        /// The shell to complete in
        shell: Shell,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Write {
    /// JSON or YAML file of a rule, a list of rules or {rules: [...]}; `-` is standard input
    #[arg(long, short, default_value = "-", value_name = "FILE")]
    pub(crate) file: String,
    /// Read standard input without a prompt (implied when it is not a terminal)
    #[arg(long, short, conflicts_with = "file")]
    pub(crate) redirection: bool,
    /// Let the server check the rules, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Only if the rules are still at this revision (rule-get shows it)
    #[arg(long, value_name = "N")]
    pub(crate) if_revision: Option<u64>,
}

/// Which rules.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct Filter {
    /// The rule of this id; repeatable
    #[arg(long, short, value_name = "ID")]
    pub(crate) id: Vec<String>,
    /// Rules with this tag; repeatable, all must be there
    #[arg(long, short, value_name = "TAG")]
    pub(crate) tag: Vec<String>,
    /// Rules for this service; repeatable
    #[arg(long, short, value_name = "SERVICE")]
    pub(crate) destination: Vec<String>,
}

impl Filter {
    pub(crate) fn query(&self) -> Vec<(&'static str, &str)> {
        let ids = self.id.iter().map(|v| ("id", v.as_str()));
        let tags = self.tag.iter().map(|v| ("tag", v.as_str()));
        let destinations = self.destination.iter().map(|v| ("destination", v.as_str()));
        ids.chain(tags).chain(destinations).collect()
    }
}

#[derive(Debug, ClapArgs)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true).args(["id", "tag", "destination", "all"]))]
pub(crate) struct Get {
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// All rules
    #[arg(long, short)]
    pub(crate) all: bool,
    /// Output format
    #[arg(long, short, value_enum, default_value_t = Document::Yaml)]
    pub(crate) output: Document,
}

#[derive(Debug, ClapArgs)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true).args(["id", "tag", "destination", "all"]))]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// All rules
    #[arg(long, short, conflicts_with_all = ["id", "tag", "destination"])]
    pub(crate) all: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) force: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RouteList {
    /// Only this service; repeatable
    #[arg(long, short, value_name = "SERVICE")]
    pub(crate) service: Vec<String>,
    #[command(flatten)]
    pub(crate) listing: Listing,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ActionList {
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// Same as --destination
    #[arg(long, short, value_name = "SERVICE")]
    pub(crate) service: Vec<String>,
    #[command(flatten)]
    pub(crate) listing: Listing,
}

#[derive(Debug, ClapArgs)]
#[command(group = clap::ArgGroup::new("whither").required(true).multiple(true).args(["service", "path"]))]
pub(crate) struct Explain {
    /// The service that is called; without it the path names one
    pub(crate) service: Option<String>,
    /// Path and query of the request
    #[arg(long, short, value_name = "PATH")]
    pub(crate) path: Option<String>,
    /// A header of the request, as Name:value; repeatable
    #[arg(long, short = 'H', value_name = "HEADER")]
    pub(crate) header: Vec<String>,
    /// Explain a connection to a TCP proxy of the service, not a request
    #[arg(long, requires = "service", conflicts_with_all = ["path", "header"])]
    pub(crate) tcp: bool,
    /// The caller, as name:tag,tag; by default the service beside the sidecar
    #[arg(long, value_name = "CALLER")]
    pub(crate) from: Option<String>,
    /// Admin port of the caller's sidecar
    #[arg(
        long,
        alias = "sidecar_url",
        env = "A8_SIDECAR_URL",
        value_name = "URL",
        default_value = "http://localhost:8001"
    )]
    pub(crate) sidecar_url: String,
    #[command(flatten)]
    pub(crate) listing: Listing,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Export {
    /// Only these
    #[arg(long, value_enum)]
    pub(crate) only: Option<Part>,
    /// Output format
    #[arg(long, short, value_enum, default_value_t = Document::Yaml)]
    pub(crate) output: Document,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Import {
    /// What `export` printed; `-` is standard input
    #[arg(long, short, default_value = "-", value_name = "FILE")]
    pub(crate) file: String,
    /// Only these of what is in it
    #[arg(long, value_enum)]
    pub(crate) only: Option<Part>,
    /// Let the controller check the rules, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[cfg(feature = "kubernetes")]
#[derive(Debug, Default, ClapArgs)]
pub(crate) struct Install {
    /// Only the definition of RoutingRules
    #[arg(long)]
    pub(crate) crd_only: bool,
    /// What stands before the names of images: registry.example.com/amalgam8
    #[arg(long, value_name = "PREFIX")]
    pub(crate) image_prefix: Option<String>,
    /// The tag of the images, by default latest
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Option<String>,
    /// Services without a port on each node
    #[arg(long)]
    pub(crate) cluster_ip: bool,
    /// Apply them here, and wait until everything runs
    #[arg(long)]
    pub(crate) apply: bool,
    /// Overrule those who have changed what is applied
    #[arg(long, requires = "apply")]
    pub(crate) force_conflicts: bool,
    /// How long is waited
    #[arg(
        long,
        requires = "apply",
        value_name = "SECONDS",
        default_value_t = 120
    )]
    pub(crate) timeout: u64,
}

#[cfg(feature = "kubernetes")]
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Pods of objects with the annotation amalgam8.io/inject: \"false\" are left alone."
)]
pub(crate) struct Inject {
    /// Manifests in YAML or JSON; `-` is standard input
    #[arg(long, short, default_value = "-", value_name = "FILE")]
    pub(crate) file: String,
    /// The image of the sidecar
    #[arg(long, value_name = "IMAGE", default_value = "a8-sidecar:latest")]
    pub(crate) image: String,
    /// What it logs, other than by default
    #[arg(long, value_enum, value_name = "LEVEL")]
    pub(crate) log_level: Option<LogLevel>,
    /// A setting of the sidecar, as `A8_SERVICE=reviews:v1`; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) env: Vec<(String, String)>,
    /// The account of pods that name none
    #[arg(long, value_name = "NAME", default_value = "a8-sidecar")]
    pub(crate) service_account: String,
}

/// A variable and its value.
#[cfg(feature = "kubernetes")]
fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("is not NAME=VALUE")?;
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let good = name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit());
    match good {
        true => Ok((name.to_owned(), value.to_owned())),
        false => Err(format!("{name:?} is not the name of a variable")),
    }
}

/// How much is logged.
#[cfg(feature = "kubernetes")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

#[cfg(feature = "kubernetes")]
impl LogLevel {
    /// As the sidecar's setting has it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// What is exported and imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// The controller's rules
    Rules,
    /// The registry's instances
    Instances,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Listing {
    /// Output format
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

/// How a listing is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
    Yaml,
}

/// How a document is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Document {
    Json,
    Yaml,
}
