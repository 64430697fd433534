// About Lua in Redis: numbers are doubles, exact to 2^53. Written as they are, those of more than
// 14 digits become 1e+15; "%.0f" does it for all of them, and takes twice as long. Writing one
// takes as long as a command of Redis (1 us): so what is only passed on stays a text. Versions are
// compared as texts. `unpack` takes some thousand values, so what can be many goes in slices. What
// is stored is never decoded.
#include "actionflows/storage/redis/scripts.hpp"

#include "actionflows/base/encoding.hpp"
#include "actionflows/storage/driver.hpp"

#include <openssl/evp.h>

#include <array>
#include <stdexcept>

namespace actionflows::redis {
namespace {

std::string sha1_of(std::string_view text) {
  std::array<std::uint8_t, 20> digest{};
  unsigned int size = 0;
  if (EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr) != 1)
    throw std::runtime_error("SHA-1 is not to be had");
  return hex(digest);
}

// What several scripts need. A day beyond their time is left to the sweeps, which do it in order;
// then keys expire by themselves.
constexpr std::string_view common = R"lua(
local hash, log, archive = KEYS[1], KEYS[2], KEYS[3]
local grace = 86400000
local slice = 1000

local function text(number)
  if number > -1e13 and number < 1e14 then return number .. '' end
  return string.format('%.0f', number)
end

-- Its numbers are texts, as they are stored.
local function unpack_meta(packed)
  if not packed then
    return {live = false, stands = false, deadline = '0', active = '0', first = '0', last = '0',
            archived = '0', kept = '0', user = '', state = ''}
  end
  local live, deadline, active, first, last, archived, kept, user, state = string.match(
    packed, '^(%d) (-?%d+) (-?%d+) (%d+) (%d+) (%d+) (-?%d+) (%S+) (.*)$')
  if not live then error({err = 'CORRUPT the session\'s meta field is none'}) end
  return {live = live == '1', stands = true, deadline = deadline, active = active, first = first,
          last = last, archived = archived, kept = kept, user = user, state = state}
end

local function read_meta() return unpack_meta(redis.call('HGET', hash, 'meta')) end

local function packed_meta(m)
  return (m.live and '1 ' or '0 ') .. m.deadline .. ' ' .. m.active .. ' ' .. m.first .. ' ' ..
         m.last .. ' ' .. m.archived .. ' ' .. m.kept .. ' ' .. m.user .. ' ' .. m.state
end

local function write_meta(m) redis.call('HSET', hash, 'meta', packed_meta(m)) end

-- What moved_activity says, of texts. Answers whether something moved.
local function move_activity(m, active, expires, interval)
  local later = tonumber(active) - tonumber(m.active)
  local longer = tonumber(expires) - tonumber(m.deadline)
  if m.live and math.max(later, longer) < math.max(tonumber(interval), 1) then return false end
  if not m.live or later > 0 then m.active = active end
  if not m.live or longer > 0 then m.deadline = expires end
  return true
end

-- When the keys expire by themselves. `log_until`: the end of the log's retention. What is written
-- about the past stays for a day, too. The hash says that the log stands: so that stays as long.
local function set_ttls(m, log_until)
  local now, kept = tonumber(redis.call('TIME')[1]) * 1000, tonumber(m.kept)
  log_until = math.max(log_until, now)
  local all_until = text(math.max(log_until, kept) + grace)
  redis.call('PEXPIREAT', hash, all_until)
  if m.last ~= '0' then redis.call('PEXPIREAT', log, all_until) end
  if m.archived ~= '0' then
    redis.call('PEXPIREAT', archive, text(math.max(kept, now) + grace))
  end
end

local function slices(list, from, to, call)
  for i = from, to, slice do call(unpack(list, i, math.min(i + slice - 1, to))) end
end
)lua";

// ARGV: 1 at, 2 operation id, 3 flags, 4 max events, 5 touch interval, 6 log retention, 7 archive
// retention, 8 first sequence, 9 expected last sequence, 10 expires, 11 last active, 12 user,
// 13 state, 14 channel, 15 instance, 16 wake-up ("<session> <type>"), then, with an empty text
// after each of them: expects (field, version), puts (field, expected version, value), erases
// (field, version), counts of steps (field, highest step), archived chains (number); then the
// events (what follows the number in the log's entry, see parse_event). An empty text: not given.
// Flags: r may repeat, a only appends, s the same and supersedes an attempt, f fresh, e expired, c
// creates the session, x ends it, l a limit is passed, w replicas are waited for. Answers "ok first
// last repeated deadline active moved old-user user" (0 or 1; an empty old-user: none), the same
// with "untold" where the wake-up was refused, "conflict version message" or "exhausted message".
constexpr std::string_view commit = R"lua(
local at, op, flag = tonumber(ARGV[1]), ARGV[2], {}
for letter in string.gmatch(ARGV[3], '.') do flag[letter] = true end
local function end_of(section, width)
  while ARGV[section] ~= '' do section = section + width end
  return section
end
local expects = 17
local after_expects = end_of(expects, 2)
local puts = after_expects + 1
local after_puts = end_of(puts, 3)
local erases = after_puts + 1
local after_erases = end_of(erases, 2)
local counts = after_erases + 1
local after_counts = end_of(counts, 2)
local chains = after_counts + 1
local after_chains = end_of(chains, 1)
local events = after_chains + 1

local packed, fences = unpack(redis.call('HMGET', hash, 'meta', 'fences'))
local m = unpack_meta(packed)
local deadline, last, archived = tonumber(m.deadline), tonumber(m.last), tonumber(m.archived)

local function answer(first, last, repeated, moved, old_user)
  return 'ok ' .. first .. ' ' .. last .. ' ' .. repeated .. ' ' .. m.deadline .. ' ' .. m.active ..
         ' ' .. moved .. ' ' .. old_user .. ' ' .. m.user
end

local function made_by(entry, sequence, id)
  local head = text(sequence) .. ' ' .. #id .. ' ' .. id
  return string.sub(entry, 1, #head) == head
end

local function find_operation()
  local tail = redis.call('LRANGE', log, -256, -1)
  local oldest, found = tonumber(m.first), last
  local function entry(sequence)
    local i = #tail - (last - sequence)
    if i >= 1 then return tail[i] end
    return redis.call('LINDEX', log, text(sequence - oldest))
  end
  while found > last - #tail and not made_by(entry(found), found, op) do found = found - 1 end
  if found <= last - #tail then return nil end
  local first = found
  while first > oldest and made_by(entry(first - 1), first - 1, op) do first = first - 1 end
  return answer(text(first), text(found), '1', '0', '')
end

-- What only appends has no version that keeps an attempt which arrives late from being applied
-- after its repeat. So the repeat leaves a fence, for longer than an attempt can be under way:
-- "<time> <length> <operation id>" of each, the newest last.
local function list_fences()
  local from, list = 1, {}
  while fences do
    local _, head, time, length = string.find(fences, '^(%d+) (%d+) ', from)
    if not head then break end
    from = head + length + 1
    list[#list + 1] = {time = tonumber(time), id = string.sub(fences, head + 1, from - 1)}
  end
  return list
end

local function add_fence()
  local now, list, kept = tonumber(redis.call('TIME')[1]), list_fences(), {}
  for i = math.max(1, #list - 254), #list do
    local fence = list[i]
    if fence.time > now - 3600 then
      kept[#kept + 1] = text(fence.time) .. ' ' .. #fence.id .. ' ' .. fence.id
    end
  end
  kept[#kept + 1] = text(now) .. ' ' .. #op .. ' ' .. op
  redis.call('HSET', hash, 'fences', table.concat(kept))
end

local fenced = false
if fences and flag.a and not flag.r then
  for _, fence in ipairs(list_fences()) do fenced = fenced or fence.id == op end
end
if (flag.r or fenced) and last > 0 then
  local earlier = find_operation()
  if earlier then
    -- WAIT looks at what its connection has written: of a repeat that is nothing yet.
    local left = redis.call('PTTL', hash)
    if flag.w and left > 0 then redis.call('PEXPIRE', hash, left) end
    return earlier
  end
end

-- Everything that can refuse comes before everything that changes.
local function conflict(why) return 'conflict 0 ' .. why end
if fenced then return conflict('a repeat of this change was applied before it') end
if not m.live and not flag.c then return conflict('there is no such session') end
if m.live and deadline <= at and not flag.x then return conflict('the session has expired') end
if flag.f and m.stands then return conflict('something stands under this session id') end
if flag.e and not (m.live and deadline <= at) then
  return conflict('the session has not expired')
end
if ARGV[8] ~= '0' and last ~= 0 then return conflict('the log is not empty') end
if ARGV[9] ~= '' and ARGV[9] ~= m.last then return conflict('the log has gone on') end

local fields = {}
for i = expects, after_expects - 1, 2 do fields[#fields + 1] = ARGV[i] end
for i = puts, after_puts - 1, 3 do fields[#fields + 1] = ARGV[i] end
for i = erases, after_erases - 1, 2 do fields[#fields + 1] = ARGV[i] end
local stands = {}
slices(fields, 1, #fields, function(...)
  for _, value in ipairs(redis.call('HMGET', hash, ...)) do stands[#stands + 1] = value end
end)

local archived_chains = {}
local function in_archive(field)
  if archived == 0 then return false end
  local number = string.match(field, '^c(%d+)')
  if not number or tonumber(number) > archived then return false end
  if archived_chains[number] == nil then
    archived_chains[number] = redis.call('HEXISTS', archive, 'c' .. number .. '.at') == 1
  end
  return archived_chains[number]
end

local function standing(i)
  if stands[i] then return string.match(stands[i], '^(%d+):') end
  if not in_archive(fields[i]) then return '0' end
  local value = redis.call('HGET', archive, fields[i])
  return value and string.match(value, '^(%d+):') or '0'
end

local at_field = 0
local function unlike(expected)
  at_field = at_field + 1
  local found = standing(at_field)
  if found == expected then return nil end
  return 'conflict ' .. found .. ' version ' .. found .. ' stands where ' .. expected ..
         ' was expected'
end
local immutable = 'an archived chain is immutable'
for i = expects, after_expects - 1, 2 do
  local why = unlike(ARGV[i + 1])
  if why then return why end
end
for i = puts, after_puts - 1, 3 do
  if in_archive(ARGV[i]) then return conflict(immutable) end
  local why = unlike(ARGV[i + 1])
  if why then return why end
end
for i = erases, after_erases - 1, 2 do
  if in_archive(ARGV[i]) then return conflict(immutable) end
  local why = unlike(ARGV[i + 1])
  if why then return why end
  if ARGV[i + 1] == '0' then return conflict('what is erased must exist') end
end
local put_fields, archives = {}, chains < after_chains
if archives then
  for i = puts, after_puts - 1, 3 do put_fields[ARGV[i]] = true end
end
for i = chains, after_chains - 1 do
  local field = 'c' .. ARGV[i]
  if in_archive(field) then return conflict(immutable) end
  if not put_fields[field] and redis.call('HEXISTS', hash, field) == 0 then
    return conflict('there is no such chain to archive')
  end
end

if flag.l then return 'exhausted the session has too many chains, or a chain too many steps' end
-- The log itself is asked only where what is known of it gives reason to.
local logged, coming, most = last - tonumber(m.first) + 1, #ARGV - events + 1, tonumber(ARGV[4])
if logged + coming > most and not flag.x and redis.call('LLEN', log) + coming > most then
  return 'exhausted the session\'s log is full: prune it (limit ' .. ARGV[4] .. ')'
end

-- From here on nothing refuses. When its memory is full a server stops a script at its first write,
-- where that could need more: so what makes room begins with one that can't.
if flag.x and m.live then redis.call('PEXPIRE', hash, text(grace)) end
local pairs_to_set = {}
for i = puts, after_puts - 1, 3 do
  pairs_to_set[#pairs_to_set + 1] = ARGV[i]
  pairs_to_set[#pairs_to_set + 1] = ARGV[i + 2]
end
for i = counts, after_counts - 1, 2 do
  local known = redis.call('HGET', hash, ARGV[i])
  if not known or tonumber(known) < tonumber(ARGV[i + 1]) then
    pairs_to_set[#pairs_to_set + 1] = ARGV[i]
    pairs_to_set[#pairs_to_set + 1] = ARGV[i + 1]
  end
end
local function set_pairs()
  slices(pairs_to_set, 1, #pairs_to_set, function(...) redis.call('HSET', hash, ...) end)
  pairs_to_set = {}
end
if archives then set_pairs() end  -- what is archived may be of them
for i = erases, after_erases - 1, 2 do redis.call('HDEL', hash, ARGV[i]) end

local old_user, moved, keep = '', '0', false
if ARGV[12] ~= '' then
  if m.live and m.user ~= ARGV[12] then old_user = m.user end
  m.user, m.state = ARGV[12], ARGV[13]
end
if ARGV[10] ~= '' then
  if move_activity(m, ARGV[11], ARGV[10], ARGV[5]) then
    deadline, moved = tonumber(m.deadline), '1'
  end
end
if flag.c then m.live = true end

for i = chains, after_chains - 1 do
  local chain = 'c' .. ARGV[i]
  local steps = tonumber(redis.call('HGET', hash, chain .. '.n') or '0')
  local moving = {chain, chain .. '.n'}
  for step = 1, steps do moving[#moving + 1] = chain .. '.s' .. step end
  slices(moving, 1, #moving, function(...)
    local names, values = {...}, redis.call('HMGET', hash, ...)
    local found = {}
    for k, value in ipairs(values) do
      if value then
        found[#found + 1] = names[k]
        found[#found + 1] = value
      end
    end
    if #found > 0 then redis.call('HSET', archive, unpack(found)) end
    redis.call('HDEL', hash, ...)
  end)
  redis.call('HSET', archive, chain .. '.at', ARGV[1] .. ' ' .. m.user)
  if tonumber(ARGV[i]) > archived then archived, m.archived = tonumber(ARGV[i]), ARGV[i] end
  m.kept = text(math.max(tonumber(m.kept), at + tonumber(ARGV[7])))
  keep = true
end

if ARGV[8] ~= '0' then last = tonumber(ARGV[8]) - 1 end
local first, entries, length = nil, {}, 0
for i = events, #ARGV do
  last = last + 1
  m.last = text(last)
  first = first or m.last
  entries[#entries + 1] = m.last .. ' ' .. ARGV[i]
end
slices(entries, 1, #entries, function(...) length = redis.call('RPUSH', log, ...) end)
-- A log that is gone (evicted, or of a store from before) does not come back, but goes on.
if m.first == '0' or length == coming then m.first, keep = first, true end

local result = answer(first, m.last, '0', moved, old_user)
local log_until = deadline + tonumber(ARGV[6])
if flag.s then add_fence() end
if flag.x then
  redis.call('DEL', hash)
  pairs_to_set = {}
  if fences then redis.call('HSET', hash, 'fences', fences) end
  log_until = at + tonumber(ARGV[6])
  m.live, m.deadline, keep = false, text(log_until), true
end
pairs_to_set[#pairs_to_set + 1] = 'meta'
pairs_to_set[#pairs_to_set + 1] = packed_meta(m)
set_pairs()
if keep or moved == '1' then set_ttls(m, log_until) end
-- Who may not publish has committed all the same.
local told = redis.pcall('PUBLISH', ARGV[14],
                         ARGV[15] .. ' ' .. m.last .. ' ' .. m.user .. ' ' .. ARGV[16])
if type(told) == 'table' and told.err then return 'untold' .. string.sub(result, 3) end
return result
)lua";

// ARGV: last active, expires, touch interval, log retention. Answers "0" (no live session, or it is
// past its deadline) or "1 moved deadline user".
constexpr std::string_view touch = R"lua(
local m = read_meta()
if not m.live or tonumber(m.deadline) <= tonumber(ARGV[1]) then return '0' end
if not move_activity(m, ARGV[1], ARGV[2], ARGV[3]) then
  return '1 0 ' .. m.deadline .. ' ' .. m.user
end
write_meta(m)
set_ttls(m, tonumber(m.deadline) + tonumber(ARGV[4]))
return '1 1 ' .. m.deadline .. ' ' .. m.user
)lua";

// ARGV: after, limit, max bytes. Answers meta (absent: nothing) and the entries.
constexpr std::string_view read_events = R"lua(
local packed = redis.call('HGET', hash, 'meta')
if not packed then return {} end
local m, result = unpack_meta(packed), {packed}
local limit, room = tonumber(ARGV[2]), tonumber(ARGV[3])
local first, last = tonumber(m.first), tonumber(m.last)
local from = math.max(tonumber(ARGV[1]) + 1, first)
while last > 0 and from <= last and limit > 0 do
  local count = math.min(limit, 100)
  local entries = redis.call('LRANGE', log, text(from - first), text(from - first + count - 1))
  if #entries == 0 then return result end
  for _, entry in ipairs(entries) do
    room = room - #entry
    if room < 0 and #result > 1 then return result end
    result[#result + 1] = entry
  end
  from, limit = from + #entries, limit - #entries
end
return result
)lua";

// ARGV: the first event that is kept. Answers how many were removed.
constexpr std::string_view prune_events = R"lua(
local m = read_meta()
local first, last = tonumber(m.first), tonumber(m.last)
local upto = math.min(tonumber(ARGV[1]), last)
if last == 0 or upto <= first then return 0 end
local count = upto - first
redis.call('LTRIM', log, text(count), -1)
m.first = text(upto)
write_meta(m)
return count
)lua";

// Answers nothing where nothing stood, else the user and then, for each archived chain, its number
// and its user.
constexpr std::string_view erase_session = R"lua(
local m = read_meta()
if not m.stands then return {} end
local result = {m.user}
for number = 1, tonumber(m.archived) do
  local kept = redis.call('HGET', archive, 'c' .. number .. '.at')
  if kept then
    result[#result + 1] = tostring(number)
    result[#result + 1] = string.match(kept, ' (.*)$')
  end
end
redis.call('UNLINK', hash, log, archive)
return result
)lua";

// ARGV: now. Removes the log of an ended session past its retention. Answers "removed", "gone"
// (there is none), "live" or "early" and the end of the retention.
constexpr std::string_view drop_log = R"lua(
local m = read_meta()
if m.live then return {'live'} end
if m.last == '0' then return {'gone'} end
if tonumber(m.deadline) > tonumber(ARGV[1]) then return {'early', m.deadline} end
redis.call('UNLINK', log)
if m.archived == '0' then
  redis.call('UNLINK', hash)
else
  m.first, m.last = '0', '0'
  write_meta(m)
end
return {'removed'}
)lua";

// ARGV: chain number, the latest time of archiving that is past its retention. Answers nothing
// where there is no such chain, "early" and when it was archived, or "removed" and the chain's
// user.
constexpr std::string_view drop_chain = R"lua(
local m = read_meta()
local chain = 'c' .. ARGV[1]
local kept = redis.call('HGET', archive, chain .. '.at')
if not kept then return {} end
local when, user = string.match(kept, '^(%S+) (.*)$')
if tonumber(when) > tonumber(ARGV[2]) then return {'early', when} end
local steps = tonumber(redis.call('HGET', archive, chain .. '.n') or '0')
local fields = {chain, chain .. '.at', chain .. '.n'}
for step = 1, steps do fields[#fields + 1] = chain .. '.s' .. step end
slices(fields, 1, #fields, function(...) redis.call('HDEL', archive, ...) end)
while m.archived ~= '0' and redis.call('HEXISTS', archive, 'c' .. m.archived .. '.at') == 0 do
  m.archived = text(tonumber(m.archived) - 1)
end
if not m.live and m.last == '0' and m.archived == '0' then
  redis.call('UNLINK', hash)
elseif m.stands then
  write_meta(m)
end
return {'removed', user}
)lua";

// KEYS: an index. ARGV: score, name, count. The members after this position, with their scores.
// Scores are negated times: so the latest stand first, and equal ones by name.
constexpr std::string_view list = R"lua(
local key, score, name, count = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
-- Not by "<", which compares as the server's locale says.
local function after(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x > y end
  end
  return #a > #b
end
local low = redis.call('ZCOUNT', key, '-inf', '(' .. score)
local high = low + redis.call('ZCOUNT', key, score, score)
while low < high do
  local middle = math.floor((low + high) / 2)
  if after(redis.call('ZRANGE', key, middle, middle)[1], name) then
    high = middle
  else
    low = middle + 1
  end
end
return redis.call('ZRANGE', key, low, low + count - 1, 'WITHSCORES')
)lua";

// KEYS: an index. ARGV: score, name, when the index expires, "NX": an entry that stands stays as it
// is, or nothing. Answers 1 where there was none. In one script, so that no index is left without a
// time to live.
constexpr std::string_view index_put = R"lua(
local index, score, name = KEYS[1], ARGV[1], ARGV[2]
local added
if ARGV[4] == 'NX' then
  added = redis.call('ZADD', index, 'NX', score, name)
else
  added = redis.call('ZADD', index, score, name)
end
redis.call('PEXPIREAT', index, ARGV[3])
return added
)lua";

// KEYS: an index. ARGV: name, the lowest and the highest score (empty: any) that it may have.
// Another was written by somebody else since it was looked at, and stays.
constexpr std::string_view index_remove = R"lua(
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or tonumber(score) < tonumber(ARGV[2]) then return 0 end
if ARGV[3] ~= '' and tonumber(score) > tonumber(ARGV[3]) then return 0 end
return redis.call('ZREM', KEYS[1], ARGV[1])
)lua";

// KEYS: an index of sessions, its claims. ARGV: now, count, instance, until. Names members that are
// past their time and claims them for the instance until then, so that no other takes them
// meanwhile. Answers how many are left unclaimed beyond the count, and the members.
constexpr std::string_view claim = R"lua(
local index, claims = KEYS[1], KEYS[2]
local now, count = tonumber(ARGV[1]), tonumber(ARGV[2])
local due = redis.call('ZREVRANGEBYSCORE', index, '+inf', string.format('%.0f', -now), 'LIMIT', 0,
                       math.min(10 * count + 10, 4000))
if #due == 0 then return {0} end
-- First a write that a server with full memory does not refuse: it lets the others through, then.
redis.call('PEXPIRE', claims, 60000)
local held = redis.call('HMGET', claims, unpack(due))
local taken, left = {0}, 0
for i, member in ipairs(due) do
  local till, owner
  if held[i] then till, owner = string.match(held[i], '^(%S+) (.*)$') end
  if not till or owner == ARGV[3] or tonumber(till) <= now then
    if #taken <= count then
      taken[#taken + 1] = member
      redis.call('HSET', claims, member, ARGV[4] .. ' ' .. ARGV[3])
    else
      left = left + 1
    end
  end
end
if redis.call('HLEN', claims) > 20 * count + 100 then
  local all = redis.call('HGETALL', claims)
  for i = 1, #all, 2 do
    if tonumber(string.match(all[i + 1], '^%S+')) <= now then redis.call('HDEL', claims, all[i]) end
  end
end
redis.call('PEXPIRE', claims, 60000)
taken[1] = left
return taken
)lua";

Script with_common(std::string_view source) {
  return Script(std::string(common) + std::string(source));
}

}  // namespace

Script::Script(std::string source) : source_(std::move(source)), sha_(sha1_of(source_)) {}

const Scripts& scripts() {
  static const Scripts all{
      with_common(commit),
      with_common(touch),
      with_common(read_events),
      with_common(prune_events),
      with_common(erase_session),
      with_common(drop_log),
      with_common(drop_chain),
      Script(std::string(list)),
      Script(std::string(index_put)),
      Script(std::string(index_remove)),
      Script(std::string(claim)),
  };
  return all;
}

}  // namespace actionflows::redis
