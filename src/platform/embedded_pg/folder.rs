//! The data folder: its path, owner and permissions.

use std::env;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};

use super::Error;

/// A socket's path must have fewer bytes than this. macOS is the strictest: 104 with the final zero.
pub(super) const SOCKET_PATH_LIMIT: usize = 103;

/// The user that PostgreSQL runs as, if we are root.
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) name: String,
}

pub(super) fn folder_error(path: &Path, source: io::Error) -> Error {
    Error::Folder { path: path.to_owned(), source }
}

/// Opens a file to append to. Refuses a symbolic link: another user could point it at a file that only root may write.
pub(super) fn open_file(path: &Path, owner: Option<&Owner>) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    let opened = options.custom_flags(nix::libc::O_NOFOLLOW).open(path).and_then(|file| {
        if let Some(owner) = owner {
            fchown(&file, Some(owner.uid), Some(owner.gid))?;
        }
        Ok(file)
    });
    opened.map_err(|e| folder_error(path, e))
}

pub(super) fn socket(pg_dir: &Path) -> PathBuf {
    pg_dir.join(".s.PGSQL.5432")
}

/// The database URL. Its host is the socket's folder, percent-encoded, which sqlx, libpq and tokio-postgres all
/// understand. It names the port and the TLS mode, because defaults would come from the environment.
pub(super) fn url(pg_dir: &Path) -> String {
    let mut host = String::new();
    for &byte in pg_dir.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            host.push(byte.into());
        } else {
            host.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("postgres://numberbank@{host}:5432/numberbank?sslmode=disable")
}

pub(super) fn default_data_dir() -> Result<PathBuf, Error> {
    if Uid::effective().is_root() {
        return Ok("/var/lib/numberbank".into());
    }
    let home = env::home_dir().filter(|home| home.is_absolute()).ok_or(Error::NoHome);
    if cfg!(target_os = "macos") {
        return Ok(home?.join("Library/Application Support/numberbank"));
    }
    let xdg = env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    Ok(xdg.map_or_else(|| home.map(|home| home.join(".local/share")), Ok)?.join("numberbank"))
}

/// The user that PostgreSQL runs as, if we are root: it refuses to run as root. An existing cluster keeps its owner,
/// even if a user `postgres` was created since.
pub(super) fn server_user(data_dir: &Path) -> Result<Option<Owner>, Error> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let present = fs::symlink_metadata(data_dir.join("pg")).ok().filter(|meta| meta.uid() != 0);
    if let Some(meta) = present {
        let user = User::from_uid(Uid::from_raw(meta.uid())).ok().flatten();
        let name = user.map_or_else(|| meta.uid().to_string(), |user| user.name);
        return Ok(Some(Owner { uid: meta.uid(), gid: meta.gid(), name }));
    }
    let user = ["postgres", "nobody"].iter().find_map(|name| User::from_name(name).ok().flatten());
    let user = user.ok_or(Error::NoUser)?;
    Ok(Some(Owner { uid: user.uid.as_raw(), gid: user.gid.as_raw(), name: user.name }))
}

/// Refuses a path that is too long for a socket, or that the server's user cannot enter. The error names the outermost
/// closed folder.
pub(super) fn check_folder(dir: &Path, owner: Option<&Owner>) -> Result<(), Error> {
    let socket = socket(&dir.join("pg"));
    if socket.as_os_str().len() >= SOCKET_PATH_LIMIT {
        return Err(Error::LongPath(socket));
    }
    let Some(owner) = owner else { return Ok(()) };
    let closed = |folder: &&Path| {
        fs::metadata(folder).is_ok_and(|meta| {
            let may_enter = match (meta.uid() == owner.uid, meta.gid() == owner.gid) {
                (true, _) => 0o100,
                (_, true) => 0o010,
                _ => 0o001,
            };
            meta.is_dir() && meta.mode() & may_enter == 0
        })
    };
    match dir.ancestors().filter(closed).last() {
        Some(folder) => Err(Error::Unreachable { folder: folder.to_owned(), user: owner.name.clone() }),
        None => Ok(()),
    }
}

pub(super) fn make_data_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let missing: Vec<_> = dir.ancestors().take_while(|folder| !folder.exists()).collect();
    fs::create_dir_all(dir)?;
    if Uid::effective().is_root() {
        // Whatever the umask is, the server's user must be able to enter.
        for folder in missing {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}

/// Creates the server's own folder. Root refuses a symbolic link in its place: another user could point it at files
/// that root would then change or delete.
pub(super) fn make_pg_dir(dir: &Path, owner: Option<&Owner>) -> Result<(), Error> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(folder_error(dir, error)),
        _ => {}
    }
    let Some(owner) = owner else { return Ok(()) };
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_DIRECTORY);
    let changed = options.open(dir).and_then(|folder| fchown(&folder, Some(owner.uid), Some(owner.gid)));
    changed.map_err(|error| match fs::symlink_metadata(dir) {
        Ok(meta) if meta.is_symlink() => Error::Link(dir.to_owned()),
        _ => folder_error(dir, error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_follows_no_link_in_place_of_its_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let (pg, elsewhere) = (folder.path().join("pg"), folder.path().join("elsewhere"));
        let (uid, gid) = (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw());
        let owner = Owner { uid, gid, name: "the server's user".to_owned() };
        make_pg_dir(&pg, Some(&owner)).expect("a folder");
        make_pg_dir(&pg, Some(&owner)).expect("the same again");
        fs::rename(&pg, &elsewhere).expect("it moves");
        std::os::unix::fs::symlink(&elsewhere, &pg).expect("a link");
        assert!(matches!(make_pg_dir(&pg, Some(&owner)), Err(Error::Link(link)) if link == pg));
        make_pg_dir(&pg, None).expect("who is not root follows links of his own");
    }

    #[test]
    fn the_url_holds_any_folder() {
        assert_eq!(
            url(Path::new("/a b/ü,%/pg")),
            "postgres://numberbank@%2Fa%20b%2F%C3%BC%2C%25%2Fpg:5432/numberbank?sslmode=disable"
        );
    }
}
