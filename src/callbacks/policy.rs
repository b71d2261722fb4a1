//! Which addresses may be requested: a tenant chooses the URL, an operator the networks that it may lead to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::str::FromStr;
use std::{fmt, io};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(bits: u128, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from_bits(bits), prefix)
}

/// Where machines keep what no request may reach, and what leads to more than one machine. Only a rule that lies within
/// one of these networks opens it.
const NEVER: [IpNet; 9] = [
    IpNet::V4(v4(0, 0, 0, 0, 8)), // this machine, as `::` below
    IpNet::V6(v6(0, 128)),
    IpNet::V4(v4(169, 254, 0, 0, 16)), // link-local; clouds show their metadata at 169.254.169.254
    IpNet::V4(v4(100, 100, 100, 200, 32)), // metadata
    IpNet::V4(v4(224, 0, 0, 0, 4)),    // multicast
    IpNet::V4(v4(255, 255, 255, 255, 32)), // broadcast
    IpNet::V6(v6(0xfe80 << 112, 10)),  // link-local
    IpNet::V6(v6(0xfd00 << 112 | 0xec2 << 96 | 0x254, 128)), // metadata
    IpNet::V6(v6(0xff00 << 112, 8)),   // multicast
];

const LOOPBACK: [IpNet; 2] = [IpNet::V4(v4(127, 0, 0, 0, 8)), IpNet::V6(v6(1, 128))];

const PRIVATE: [IpNet; 5] = [
    IpNet::V4(v4(10, 0, 0, 0, 8)),
    IpNet::V4(v4(172, 16, 0, 0, 12)),
    IpNet::V4(v4(192, 168, 0, 0, 16)),
    IpNet::V4(v4(100, 64, 0, 0, 10)),
    IpNet::V6(v6(0xfc00 << 112, 7)),
];

/// What of IPv4 is not global, by IANA's registry of special-purpose addresses.
const NOT_GLOBAL_V4: [Ipv4Net; 16] = [
    v4(0, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    v4(169, 254, 0, 0, 16),
    v4(172, 16, 0, 0, 12),
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    v4(192, 88, 99, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v4(224, 0, 0, 0, 4),
    v4(240, 0, 0, 0, 4),
    v4(255, 255, 255, 255, 32),
];

/// All of IPv6 that is global lies in here …
const GLOBAL_V6: Ipv6Net = v6(0x2000 << 112, 3);

/// … except for what protocols and documents use.
const NOT_GLOBAL_V6: [Ipv6Net; 3] = [v6(0x2001 << 112, 23), v6(0x2001 << 112 | 0xdb8 << 96, 32), v6(0x3fff << 112, 20)];

/// Ports of the web. Other servers may take the lines of a request for commands.
const WEB: [u16; 4] = [80, 443, 8080, 8443];

/// From here on, ports are those of programs that need no rights.
const UNPRIVILEGED: u16 = 1024;

/// One rule: what may be requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Global addresses, at the ports of the web.
    Public,
    /// This machine itself, at ports from 1024.
    Loopback,
    /// Networks that are not routed to the internet, at ports from 1024.
    Private,
    /// A network, at the ports of the web and those from 1024.
    Network(IpNet),
    /// One port of a host: of an address, or of a name as URLs have it.
    Place { host: String, port: u16 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotARule {
    #[error(
        "expected public, loopback, private, a network such as 10.1.0.0/16, or a host and port such as app:3000 or [fd00::1]:3000"
    )]
    Unknown,
    #[error("{given} has digits beyond its prefix: {meant} may be meant")]
    NotTheNetwork { given: IpNet, meant: IpNet },
}

impl FromStr for Allowed {
    type Err = NotARule;

    fn from_str(text: &str) -> Result<Self, NotARule> {
        match text {
            "public" => return Ok(Self::Public),
            "loopback" => return Ok(Self::Loopback),
            "private" => return Ok(Self::Private),
            _ => {}
        }
        if let Ok(given) = text.parse::<IpNet>() {
            let meant = given.trunc();
            return if given == meant {
                Ok(Self::Network(given))
            } else {
                Err(NotARule::NotTheNetwork { given, meant })
            };
        }
        let (host, port) = text.rsplit_once(':').ok_or(NotARule::Unknown)?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or(NotARule::Unknown)?;
        let host = url::Host::parse(host).map_err(|_| NotARule::Unknown)?.to_string();
        Ok(Self::Place { host: comparable(&host).to_owned(), port })
    }
}

/// A host as it is compared: URLs may end it with a dot.
fn comparable(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

impl Allowed {
    fn networks(&self) -> &[IpNet] {
        match self {
            Self::Loopback => &LOOPBACK,
            Self::Private => &PRIVATE,
            Self::Network(network) => std::slice::from_ref(network),
            Self::Public | Self::Place { .. } => &[],
        }
    }

    fn covers(&self, host: &str, address: SocketAddr) -> bool {
        match self {
            Self::Public => is_global(address.ip()),
            Self::Place { host: named, port } => *port == address.port() && named == comparable(host),
            _ => self.networks().iter().any(|network| network.contains(&address.ip())),
        }
    }

    fn opens(&self, port: u16) -> bool {
        match self {
            Self::Public => WEB.contains(&port),
            Self::Loopback | Self::Private => port >= UNPRIVILEGED,
            Self::Network(_) => WEB.contains(&port) || port >= UNPRIVILEGED,
            Self::Place { .. } => true,
        }
    }

    /// Whether it names this network, which is never requested otherwise, or a part of it.
    fn names(&self, never: &IpNet, address: IpAddr) -> bool {
        matches!(self, Self::Network(network) if never.contains(network) && network.contains(&address))
    }
}

/// Whether an address of the internet leads to one machine, and everybody to the same. It is not IPv4 in IPv6.
fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !NOT_GLOBAL_V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => {
            GLOBAL_V6.contains(&address) && !NOT_GLOBAL_V6.iter().any(|network| network.contains(&address))
        }
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, 64:ff9b::/96 (NAT64) or 2002::/16 (6to4).
fn canonical(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let low = |bits: u128| IpAddr::V4(Ipv4Addr::from_bits((bits & 0xffff_ffff) as u32));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => address,
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => low(v6.to_bits()),
        [0x2002, ..] => low(v6.to_bits() >> 80),
        _ => address,
    }
}

/// Why an address is not requested; for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is a listener of our own.
    Own,
    /// Metadata of clouds, link-local, multicast and the like.
    Never,
    /// No rule has its network.
    Network,
    /// A rule has its network, but not its port.
    Port,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Own => "it is a listener of our own",
            Self::Never => "its network is requested only if that very network is allowed",
            Self::Network => "its network is not allowed",
            Self::Port => "its port is not allowed",
        })
    }
}

/// What may be requested.
#[derive(Clone, Debug)]
pub struct Policy {
    rules: Vec<Allowed>,
    own: Vec<SocketAddr>,
}

impl Policy {
    /// `own` are this program's listeners and its database: no rule lets a request reach them. A listener at 0.0.0.0 or ::
    /// is refused at each address of this machine.
    pub fn new(rules: Vec<Allowed>, own: Vec<SocketAddr>) -> Self {
        let own = own.into_iter().map(|own| SocketAddr::new(canonical(own.ip()), own.port())).collect();
        Self { rules, own }
    }

    /// Whether this address may be requested for a URL with this host.
    ///
    /// # Errors
    /// If it may not: why.
    pub fn judge(&self, host: &str, address: SocketAddr) -> Result<(), Why> {
        let address = SocketAddr::new(canonical(address.ip()), address.port());
        if self.is_own(address) {
            return Err(Why::Own);
        }
        let never = NEVER.iter().find(|never| never.contains(&address.ip()));
        if never.is_some_and(|never| !self.rules.iter().any(|rule| rule.names(never, address.ip()))) {
            return Err(Why::Never);
        }
        let covering: Vec<_> = self.rules.iter().filter(|rule| rule.covers(host, address)).collect();
        if covering.is_empty() {
            return Err(Why::Network);
        }
        if covering.iter().any(|rule| rule.opens(address.port())) { Ok(()) } else { Err(Why::Port) }
    }

    fn is_own(&self, address: SocketAddr) -> bool {
        let at_its_port = self.own.iter().filter(|own| own.port() == address.port());
        // A request to 0.0.0.0 or :: reaches this machine, also a listener at another of its addresses.
        let leads_to = |own: &SocketAddr| {
            own.ip() == address.ip()
                || address.ip().is_unspecified()
                || own.ip().is_unspecified() && is_of_this_machine(address.ip())
        };
        at_its_port.into_iter().any(leads_to)
    }
}

/// Whether packets to an address stay on this machine. The system tells by what a socket can be bound to: all of
/// 127.0.0.0/8 as well as the addresses of its networks.
fn is_of_this_machine(address: IpAddr) -> bool {
    let is_elsewhere =
        |bound: io::Result<UdpSocket>| bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable);
    address.is_loopback() || !is_elsewhere(UdpSocket::bind((address, 0)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(rules: &[&str]) -> Policy {
        let own = ["0.0.0.0:8010", "127.0.0.1:5432", "10.1.2.3:9000"].map(|own| own.parse().unwrap()).to_vec();
        Policy::new(rules.iter().map(|rule| rule.parse().unwrap()).collect(), own)
    }

    fn judged(policy: &Policy, address: &str) -> Result<(), Why> {
        let address: SocketAddr = address.parse().unwrap_or_else(|_| panic!("{address}"));
        policy.judge(&address.ip().to_string(), address)
    }

    #[track_caller]
    fn assert_judged(rules: &[&str], cases: &[(&str, Result<(), Why>)]) {
        for (address, expected) in cases {
            assert_eq!(judged(&policy(rules), address), *expected, "{address} with {rules:?}");
        }
    }

    #[test]
    fn each_rule_has_its_networks_and_ports() {
        let (network, port) = (Err(Why::Network), Err(Why::Port));
        assert_judged(
            &["public"],
            &[
                ("93.184.216.34:80", Ok(())),
                ("93.184.216.34:8443", Ok(())),
                ("93.184.216.34:25", port),
                ("93.184.216.34:3000", port),
                ("[2606:2800:220:1::1]:443", Ok(())),
                ("127.0.0.1:8080", network),
                ("10.0.0.1:443", network),
                ("[::1]:8080", network),
                ("[2001:db8::1]:443", network),
            ],
        );
        assert_judged(
            &["loopback"],
            &[
                ("127.0.0.1:3000", Ok(())),
                ("127.9.9.9:1024", Ok(())),
                ("[::1]:65535", Ok(())),
                ("127.0.0.1:80", port),
                ("93.184.216.34:80", network),
            ],
        );
        assert_judged(
            &["private"],
            &[
                ("10.255.255.255:3000", Ok(())),
                ("172.31.0.1:3000", Ok(())),
                ("172.32.0.1:3000", network),
                ("100.64.0.1:3000", Ok(())),
                ("[fd12::1]:3000", Ok(())),
                ("192.168.0.1:22", port),
                ("127.0.0.1:3000", network),
            ],
        );
        assert_judged(
            &["10.1.0.0/16", "192.168.0.1:22"],
            &[
                ("10.1.0.1:80", Ok(())),
                ("10.1.0.1:25", port),
                ("10.2.0.1:80", network),
                ("192.168.0.1:22", Ok(())),
                ("192.168.0.1:80", network),
            ],
        );
        assert_judged(&["public", "93.184.216.34:25"], &[("93.184.216.34:25", Ok(())), ("93.184.216.35:25", port)]);
    }

    #[test]
    fn a_place_is_named_as_in_the_url() {
        let policy = policy(&["App:3000", "[fd00::1]:80"]);
        let address = "10.0.0.7:3000".parse().unwrap();
        assert_eq!(policy.judge("app", address), Ok(()));
        assert_eq!(policy.judge("app.", address), Ok(()));
        assert_eq!(policy.judge("10.0.0.7", address), Err(Why::Network));
        assert_eq!(policy.judge("app", "10.0.0.7:3001".parse().unwrap()), Err(Why::Network));
        assert_eq!(policy.judge("app", "169.254.169.254:3000".parse().unwrap()), Err(Why::Never));
        assert_eq!(policy.judge("[fd00::1]", "[fd00::1]:80".parse().unwrap()), Ok(()));
    }

    #[test]
    fn some_networks_are_opened_by_their_own_name_only() {
        let wide = ["public", "loopback", "private", "0.0.0.0/0", "::/0", "fd00::/8"];
        let never = Err(Why::Never);
        let all = [
            "169.254.169.254:80",
            "[::ffff:169.254.169.254]:80",
            "[fe80::1]:8080",
            "[fd00:ec2::254]:8080",
            "100.100.100.200:8080",
            "0.0.0.0:8080",
            "[::]:8080",
            "224.0.0.1:8080",
            "[ff02::1]:8080",
            "255.255.255.255:8080",
        ];
        assert_judged(&wide, &all.map(|address| (address, never)));
        assert_judged(&["169.254.0.0/16"], &[("169.254.169.254:80", Ok(())), ("[fe80::1]:80", never)]);
        assert_judged(&["169.254.169.254/32"], &[("169.254.169.254:80", Ok(())), ("169.254.169.253:80", never)]);
        assert_judged(&["169.254.169.254:80"], &[("169.254.169.254:80", never)]);
        assert_judged(&["100.100.100.200/32"], &[("100.100.100.200:80", Ok(()))]);
    }

    #[test]
    fn ipv4_in_ipv6_counts_as_ipv4() {
        for inside in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "93.184.216.34", "0.0.0.0"] {
            let bits = u128::from(inside.parse::<Ipv4Addr>().unwrap().to_bits());
            let plain = judged(&policy(&["public"]), &format!("{inside}:80"));
            let wrapped = [0xffff << 32 | bits, 0x64_ff9b << 96 | bits, 0x2002 << 112 | bits << 80 | 7];
            for wrapped in wrapped {
                let address = format!("[{}]:80", Ipv6Addr::from_bits(wrapped));
                assert_eq!(judged(&policy(&["public"]), &address), plain, "{address}");
            }
        }
        assert_judged(&["public"], &[("[::7f00:1]:80", Err(Why::Network)), ("[::5db8:d822]:80", Ok(()))]);
    }

    #[test]
    fn own_listeners_are_never_requested() {
        let all = ["loopback", "private", "0.0.0.0/0", "::/0", "0.0.0.0/8", "::/128", "localhost:8010", "127.0.0.1/32"];
        let own = Err(Why::Own);
        assert_judged(
            &all,
            &[
                // Bound to all addresses.
                ("127.0.0.1:8010", own),
                ("127.0.0.2:8010", own),
                ("[::1]:8010", own),
                ("[::ffff:127.0.0.1]:8010", own),
                ("[64:ff9b::127.0.0.1]:8010", own),
                ("0.0.0.0:8010", own),
                ("[::]:8010", own),
                ("93.184.216.34:8010", Ok(())),
                // Bound to one.
                ("127.0.0.1:5432", own),
                ("0.0.0.0:5432", own),
                ("10.1.2.3:9000", own),
                ("10.1.2.4:9000", Ok(())),
                ("127.0.0.1:8011", Ok(())),
            ],
        );
        // The address that this machine has in its network, if it is in one.
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        if socket.connect("192.0.2.1:9").is_ok() {
            let address = SocketAddr::new(socket.local_addr().unwrap().ip(), 8010);
            assert_eq!(policy(&all).judge("x", address), own, "{address}");
        }
    }

    #[test]
    fn a_rule_that_cannot_be_read_says_what_would_be_right() {
        for text in ["", "Public", "10.0.0.0/33", "app", "app:", "app:0", "app:70000", ":80", "fd00::1:80:x", "a b:80"]
        {
            assert_eq!(text.parse::<Allowed>(), Err(NotARule::Unknown), "{text}");
        }
        let error = "10.1.2.3/8".parse::<Allowed>().unwrap_err().to_string();
        assert_eq!(error, "10.1.2.3/8 has digits beyond its prefix: 10.0.0.0/8 may be meant");
        assert_eq!("[fd00::1]:80".parse(), Ok(Allowed::Place { host: "[fd00::1]".into(), port: 80 }));
    }

    /// Addresses of both families, most of them near the edges of networks that matter.
    fn any_address() -> impl Strategy<Value = IpAddr> {
        let v4 = prop_oneof![
            any::<u32>(),
            (0..NOT_GLOBAL_V4.len(), any::<u32>(), -2i64..3).prop_map(|(at, within, off)| {
                let network = NOT_GLOBAL_V4[at];
                let (first, last) = (network.network().to_bits(), network.broadcast().to_bits());
                let base = if within % 2 == 0 { first } else { last };
                (i64::from(base) + off).clamp(0, i64::from(u32::MAX)) as u32
            }),
        ];
        let heads: [u128; 9] = [
            0,
            0xffff << 80,
            0x64_ff9b << 96,
            0x2002 << 112,
            0x2001 << 112,
            0xfe80 << 112,
            0xfd00 << 112,
            0xff02 << 112,
            0x2606 << 112,
        ];
        let v6 = prop_oneof![
            any::<u128>(),
            (0..heads.len(), any::<u64>()).prop_map(move |(at, low)| heads[at] | u128::from(low)),
            (0..heads.len(), any::<u128>()).prop_map(move |(at, low)| heads[at] | low >> 16),
        ];
        prop_oneof![
            v4.prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
            v6.prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)))
        ]
    }

    /// What is surely not global, told by other means than the tables above.
    fn is_surely_not_global(address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, ..] = v4.octets();
                v4.is_private()
                    || v4.is_loopback()
                    || v4.is_link_local()
                    || v4.is_multicast()
                    || v4.is_broadcast()
                    || v4.is_documentation()
                    || a == 0
                    || a >= 240
                    || (a == 100 && (64..128).contains(&b))
                    || (a == 198 && (18..20).contains(&b))
            }
            IpAddr::V6(v6) => {
                v6.is_loopback()
                    || v6.is_unspecified()
                    || v6.is_multicast()
                    || v6.is_unique_local()
                    || v6.is_unicast_link_local()
                    || v6.segments()[..2] == [0x2001, 0xdb8]
                    || v6.segments()[..2] == [0x2001, 0]
                    || (v6.segments()[0] == 0x2002 && {
                        let [_, high, low, ..] = v6.segments();
                        is_surely_not_global(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)).into())
                    })
                    || v6.segments().starts_with(&[0x64, 0xff9b, 0, 0, 0, 0]) && {
                        is_surely_not_global(Ipv4Addr::from_bits(v6.to_bits() as u32).into())
                    }
            }
        }
    }

    proptest! {
        #[test]
        fn public_has_nothing_that_is_not_global(address in any_address(), port in any::<u16>()) {
            let judged = policy(&["public"]).judge("example.com", SocketAddr::new(address, port));
            if is_surely_not_global(address) {
                prop_assert!(judged.is_err(), "{address}");
            }
            if !WEB.contains(&port) {
                prop_assert!(judged.is_err(), "{address}:{port}");
            }
        }

        #[test]
        fn no_rule_opens_what_is_our_own(address in any_address(), wide in "public|loopback|private|0\\.0\\.0\\.0/[08]|::/0") {
            let own = SocketAddr::new(address, 7777);
            let policy = Policy::new(vec![wide.parse().unwrap()], vec![own]);
            prop_assert_eq!(policy.judge("example.com", own), Err(Why::Own));
        }
    }
}
