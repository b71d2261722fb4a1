-- What wrk sends, and what it reports in the end. Arguments: the workload, a Lua file with the accounts' credentials, the
-- area codes and the numbers to name, and for releases the first number to release. sql/fill.sql says how Sids are made.
-- Requests are put together from prepared parts, because the generator's own cost counts.

local THREADS = 2
local threads = 0
local facts, make

function setup(thread)
    thread:set("place", threads)
    threads = threads + 1
end

local function account_sid(account) return string.format("AC%032x", account) end

local function number_sid(n) return string.format("PN%08x%024d", n * 165901211 % 4294967296, 0) end

local before, newer, after = {}, {}, {}

local function prepare(account)
    before[account] = " /2008-08-01/Accounts/" .. account_sid(account) .. "/IncomingPhoneNumbers"
    newer[account] = " /2010-04-01/Accounts/" .. account_sid(account) .. "/IncomingPhoneNumbers"
    after[account] = " HTTP/1.1\r\nHost: bench\r\nAuthorization: Basic " .. facts.credentials[account] .. "\r\n"
end

local function ask(method, account, rest) return method .. before[account] .. rest .. after[account] .. "\r\n" end

local function send(account, rest, form)
    return "POST" .. before[account] .. rest .. after[account]
        .. "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: " .. #form .. "\r\n\r\n" .. form
end

local function any_number() return math.random(1000001, 1200000) end

local function holder(n) return n % 20 + 1 end

local function one()
    local n = any_number()
    return ask("GET", holder(n), "/" .. number_sid(n))
end

local function page() return ask("GET", math.random(20), "") end

local function buy(account, area)
    return send(account, "/Local", "Url=http://example.com/answer&AreaCode=" .. area)
end

local function buy_anywhere(account) return buy(account, facts.areas[math.random(#facts.areas)]) end

local function update()
    local n = any_number()
    return send(holder(n), "/" .. number_sid(n), "Url=http://example.com/changed")
end

local function one_newer()
    local n = any_number()
    local account = holder(n)
    return "GET" .. newer[account] .. "/" .. number_sid(n) .. ".json" .. after[account] .. "\r\n"
end

local function page_newer()
    local account = math.random(20)
    return "GET" .. newer[account] .. ".json" .. after[account] .. "\r\n"
end

local function update_newer()
    local n = any_number()
    local account, form = holder(n), "VoiceUrl=http://example.com/changed"
    return "POST" .. newer[account] .. "/" .. number_sid(n) .. ".json" .. after[account]
        .. "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: " .. #form .. "\r\n\r\n" .. form
end

local function buy_newer(account, form)
    return "POST" .. newer[account] .. ".json" .. after[account]
        .. "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: " .. #form .. "\r\n\r\n" .. form
end

local next_named = 0

local function buy_named()
    local number = facts.numbers[next_named + place + 1]
    next_named = next_named + THREADS
    return buy_newer(math.random(20), "VoiceUrl=http://example.com/answer&PhoneNumber=%2B1" .. string.format("%d", number))
end

local function mix()
    local dice = math.random(10)
    if dice == 1 then return page() end
    if dice == 2 then return buy_anywhere(math.random(20)) end
    return one()
end

local next_release

local function release()
    local n = next_release
    next_release = n + THREADS
    return ask("DELETE", holder(n), "/" .. number_sid(n))
end

local workloads = {
    ["one"] = one,
    ["page"] = page,
    ["buy"] = function() return buy_anywhere(math.random(20)) end,
    ["buy-one-account"] = function() return buy_anywhere(1) end,
    ["buy-last"] = function() return buy(math.random(20), 907) end,
    ["update"] = update,
    ["release"] = release,
    ["mix"] = mix,
    ["one-2010"] = one_newer,
    ["page-2010"] = page_newer,
    ["update-2010"] = update_newer,
    ["buy-2010"] = function()
        local area = facts.areas[math.random(#facts.areas)]
        return buy_newer(math.random(20), "VoiceUrl=http://example.com/answer&AreaCode=" .. area)
    end,
    ["buy-named"] = buy_named,
    ["first-page"] = function() return ask("GET", 21, "") end,
    ["last-page"] = function() return ask("GET", 21, "?Page=19999&AfterSid=" .. number_sid(51)) end,
    ["only-page"] = function() return ask("GET", 22, "") end,
}

function init(arguments)
    math.randomseed(os.time() + 7919 * place)
    facts = dofile(arguments[2])
    for account = 1, #facts.credentials do prepare(account) end
    make = workloads[arguments[1]]
    if arguments[3] then next_release = tonumber(arguments[3]) + place end
end

function request() return make() end

-- One line of JSON: times in microseconds, `refused` answers of 400 and above, `lost` requests without an answer.
function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '{"answers": %d, "duration": %d, "p50": %d, "p99": %d, "refused": %d, "lost": %d}\n', summary.requests,
        summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
        errors.connect + errors.read + errors.write + errors.timeout))
end
