//! The routes of the API that a world serves, by which faults and the log name requests.

use actix_web::dev::ResourceDef;

/// The route table of a version: paths with their methods.
type Table<'a> = &'a [(&'a str, &'a [&'a str])];

/// A version of the API: its tree, its table, and which of its routes buy numbers.
pub type Version<'a> = (&'a str, Table<'a>, &'a [&'a str]);

/// The routes of all versions.
pub struct Routes(Vec<Route>);

struct Route {
    name: String,
    path: ResourceDef,
    buys: bool,
}

impl Routes {
    /// Of these versions, in the order in which a request is routed.
    pub fn new(versions: &[Version<'_>]) -> Self {
        let of_version = |(tree, table, buying): &Version<'_>| {
            let route = |(path, _): &(&str, _)| {
                let name = format!("{tree}{path}");
                Route { path: ResourceDef::new(name.as_str()), name, buys: buying.contains(path) }
            };
            table.iter().map(route).collect::<Vec<_>>()
        };
        Self(versions.iter().flat_map(of_version).collect())
    }

    fn find(&self, path: &str) -> Option<&Route> {
        self.0.iter().find(|route| route.path.is_match(path))
    }

    /// The route of a path.
    pub fn of(&self, path: &str) -> Option<&str> {
        self.find(path).map(|route| route.name.as_str())
    }

    /// Whether a POST to this path buys a number.
    pub fn buys(&self, path: &str) -> bool {
        self.find(path).is_some_and(|route| route.buys)
    }

    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|route| route.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_the_route_that_it_is_routed_by() {
        let old: Table<'_> =
            &[("/Accounts/{AccountSid}/Numbers/Local", &["GET"]), ("/Accounts/{AccountSid}/Numbers/{Sid}", &["GET"])];
        let routes = Routes::new(&[
            ("/old", old, &["/Accounts/{AccountSid}/Numbers/Local"]),
            ("/new", &[("/Accounts", &["GET"])], &[]),
        ]);
        assert_eq!(routes.of("/old/Accounts/AC1/Numbers/Local"), Some("/old/Accounts/{AccountSid}/Numbers/Local"));
        assert_eq!(routes.of("/old/Accounts/AC1/Numbers/PN1"), Some("/old/Accounts/{AccountSid}/Numbers/{Sid}"));
        assert_eq!(routes.of("/new/Accounts"), Some("/new/Accounts"));
        assert!(routes.buys("/old/Accounts/AC1/Numbers/Local") && !routes.buys("/old/Accounts/AC1/Numbers/PN1"));
        for path in ["/new/Accounts/", "/new", "/other/Accounts", "/old/Accounts/AC1/Numbers/PN1/more"] {
            assert_eq!(routes.of(path), None, "{path}");
        }
    }
}
