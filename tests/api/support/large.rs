//! An account that holds more numbers than a test can buy.

use sqlx::{AssertSqlSafe, ConnectOptions};

use super::{Account, World};

impl World {
    /// An account that holds `count` numbers of one name, every tenth of them toll-free. They were not bought, so the
    /// audit would report them.
    pub async fn large_account(&self, numbers: u32, name: &str) -> Account {
        let account = self.account("100.00").await;
        let sid = &account.sid[2..];
        let statements = format!(
            "begin;
            set local session_replication_role = replica;
            insert into stock (phone_number, kind, state, state_since, tenancy_sid, added_at)
            select case when n % 10 = 0 then 8332000000 else 4152000000 end + n,
                (case when n % 10 = 0 then 'tollfree' else 'local' end)::number_kind,
                'in_use', '2008-01-01', gen_random_uuid(), '2008-01-01'
            from generate_series(1, {numbers}) as n;
            insert into tenancies (sid, account_sid, phone_number, kind, price, started_at, updated_at, due_on, friendly_name)
            select tenancy_sid, '{sid}', phone_number, kind, 100,
                timestamptz '2008-01-01' + phone_number % 1000 * interval '1 hour', '2008-01-01', '2030-01-01', '{name}'
            from stock where tenancy_sid is not null;
            update account_sums set local_numbers = {numbers} - {numbers} / 10, tollfree_numbers = {numbers} / 10
            where account_sid = '{sid}';
            commit"
        );
        let mut connection = self.options.connect().await.expect("a connection");
        sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut connection).await.expect("many numbers");
        sqlx::raw_sql("vacuum analyze tenancies").execute(&mut connection).await.expect("they are known");
        account
    }
}
