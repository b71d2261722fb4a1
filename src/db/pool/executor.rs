//! Runs statements on `&Db` as on a connection.

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Describe, Either, Error, Execute, Executor, Postgres, SqlStr};

use super::Db;

impl<'p> Executor<'p> for &'_ Db {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Either<PgQueryResult, PgRow>>>
    where
        E: 'q + Execute<'q, Postgres>,
    {
        let db = self.clone();
        let steps = async move {
            let mut lease = db.acquire().await?;
            let steps = lease.connection().fetch_many(query).try_collect::<Vec<_>>().await;
            Ok::<_, Error>(stream::iter(lease.done(steps)?).map(Ok))
        };
        stream::once(steps).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        E: 'q + Execute<'q, Postgres>,
    {
        let db = self.clone();
        async move {
            let mut lease = db.acquire().await?;
            let row = lease.connection().fetch_optional(query).await;
            lease.done(row)
        }
        .boxed()
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'p: 'e,
    {
        let db = self.clone();
        async move {
            let mut lease = db.acquire().await?;
            let statement = lease.connection().prepare_with(sql, parameters).await;
            lease.done(statement)
        }
        .boxed()
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Postgres>>>
    where
        'p: 'e,
    {
        let db = self.clone();
        async move {
            let mut lease = db.acquire().await?;
            let described = lease.connection().describe(sql).await;
            lease.done(described)
        }
        .boxed()
    }
}
