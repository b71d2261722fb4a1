//! The routes of the API that a world serves, by which faults and the log name requests.

use actix_web::dev::ResourceDef;

/// The route table of a version: paths with their methods.
type Table<'a> = &'a [(&'a str, &'a [&'a str])];

/// The route tables of all versions.
pub struct Routes(Vec<(String, ResourceDef)>);

impl Routes {
    /// Of the tables of trees, in the order in which a request is routed.
    pub fn new(trees: &[(&str, Table<'_>)]) -> Self {
        let routes =
            trees.iter().flat_map(|(tree, routes)| routes.iter().map(move |(path, _)| format!("{tree}{path}")));
        Self(routes.map(|route| (route.clone(), ResourceDef::new(route))).collect())
    }

    /// The route of a path.
    pub fn of(&self, path: &str) -> Option<&str> {
        self.0.iter().find(|(_, known)| known.is_match(path)).map(|(route, _)| route.as_str())
    }

    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(route, _)| route.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_the_route_that_it_is_routed_by() {
        let routes = Routes::new(&[
            (
                "/old",
                &[
                    ("/Accounts/{AccountSid}/Numbers/Local", &["GET"]),
                    ("/Accounts/{AccountSid}/Numbers/{Sid}", &["GET"]),
                ],
            ),
            ("/new", &[("/Accounts", &["GET"])]),
        ]);
        assert_eq!(routes.of("/old/Accounts/AC1/Numbers/Local"), Some("/old/Accounts/{AccountSid}/Numbers/Local"));
        assert_eq!(routes.of("/old/Accounts/AC1/Numbers/PN1"), Some("/old/Accounts/{AccountSid}/Numbers/{Sid}"));
        assert_eq!(routes.of("/new/Accounts"), Some("/new/Accounts"));
        for path in ["/new/Accounts/", "/new", "/other/Accounts", "/old/Accounts/AC1/Numbers/PN1/more"] {
            assert_eq!(routes.of(path), None, "{path}");
        }
    }
}
