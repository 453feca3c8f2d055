//! What a rule counts on and is not there: for those who tell people how their rules stand.

use super::Rule;
use crate::model::{ServiceName, Tags};

impl Rule {
    /// Which of the backends that it sends to, or the service that it acts on, have no instance,
    /// where `has` says whether some instance of a service carries all of these tags.
    pub fn lacking(&self, has: impl Fn(&ServiceName, &Tags) -> bool) -> Vec<String> {
        let (to, none) = (self.destination(), Tags::default());
        let named: Vec<(&ServiceName, &Tags)> = match self.route() {
            Some(route) => {
                let backends = route.backends.iter();
                let named = backends.map(|backend| (backend.service(to), &backend.tags));
                named.collect()
            }
            None => vec![(to, &none)],
        };
        let lacking = named
            .into_iter()
            .filter(|(service, tags)| !has(service, tags));
        let told = lacking.map(|(service, tags)| match tags.is_empty() {
            true => format!("{service} has no instance"),
            false => {
                let tags: Vec<&str> = tags.iter().map(|tag| tag.as_str()).collect();
                format!("no instance of {service} carries {}", tags.join(", "))
            }
        });
        told.collect()
    }
}
