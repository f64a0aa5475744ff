-- One scrape of a sidecar gets the figures of Envoy and those of the application. The application is asked first, and what it
-- says goes before what Envoy does. Where to ask is data of the filter's context.
--
-- Prometheus drops a whole answer for one line that it cannot read, so what the application says is read here before it is
-- added: all of it is added or nothing.

local types = { counter = true, gauge = true, histogram = true, summary = true, untyped = true }

-- labels returns the position behind the "{…}" that begins at a position, or nil.
local function labels(line, at)
  at = at + 1
  while true do
    local value = line:match('^[ \t]*[%a_][%w_]*[ \t]*=[ \t]*"()', at)
    if not value then break end
    local after = line:match('^[^"\\]*"()', value)
    if not after then
      -- There are escaped characters.
      after = value
      repeat
        local mark = line:find('["\\]', after)
        if not mark then return nil end
        local quote = line:byte(mark) == 34
        if not quote and not line:find('^["\\n]', mark + 1) then return nil end
        after = mark + (quote and 1 or 2)
      until quote
    end
    at = after
    local comma = line:match("^[ \t]*,()", at)
    if not comma then break end
    at = comma
  end
  return line:match("^[ \t]*}()", at)
end

local function number(text)
  return tonumber(text) and text:find("^[+-]?%.?%d[%d.eE+-]*$") or text == "NaN" or text:find("^[+-]?Inf$")
end

-- readable is whether a line is one of Prometheus' text format, version 0.0.4.
local function readable(line)
  if line:byte(1) == 35 then
    local word, rest = line:match("^#[ \t]*(%u+)[ \t]+(.*)$")
    if word == "TYPE" then return types[rest:match("^[%a_:][%w_:]*[ \t]+(%l+)$")] end
    return word ~= "HELP" or rest:find("^[%a_:][%w_:]*$") or rest:find("^[%a_:][%w_:]*[ \t]")
  end
  local at = line:match("^[%a_:][%w_:]*[ \t]*()")
  if not at then return false end
  if line:byte(at) == 123 then
    at = labels(line, at)
    if not at then return false end
  elseif not line:find("^[ \t]", at - 1) then
    return false
  end
  local value, rest = line:match("^[ \t]*([^ \t]+)()", at)
  return value and number(value) and (rest > #line or line:find("^[ \t]+%-?%d+$", rest))
end

-- encoded is whether a text is UTF-8 without control characters other than tabs and ends of lines.
local function encoded(text)
  if text:find("[%z\1-\8\11-\31\127]") then return false end
  if not text:find("[\128-\255]") then return true end
  for _, one in ipairs({
    "\240[\144-\191][\128-\191][\128-\191]", "[\241-\243][\128-\191][\128-\191][\128-\191]", "\244[\128-\143][\128-\191][\128-\191]",
    "\224[\160-\191][\128-\191]", "\237[\128-\159][\128-\191]", "[\225-\236\238\239][\128-\191][\128-\191]", "[\194-\223][\128-\191]",
  }) do
    text = text:gsub(one, ".")
  end
  return not text:find("[\128-\255]")
end

local function allReadable(text)
  if not encoded(text) then return false end
  for line in text:gmatch("[^\n]+") do
    if not readable(line) then return false end
  end
  return true
end

-- ask returns the application's figures, or nil and in a word why they are missing.
local function ask(handle, context)
  local headers, text = handle:httpCall(context:get("cluster"), {
    [":method"] = "GET", [":path"] = context:get("path"), [":authority"] = "localhost",
    ["accept"] = "text/plain;version=0.0.4", ["user-agent"] = "osm-sidecar",
  }, "", context:get("milliseconds"), false)
  local status = headers[":status"]
  if status == "504" then return nil, "timeout" end
  -- Envoy's own words for an answer that broke off, or was longer than its runtime allows.
  if status == "503" and text == "upstream failure" then return nil, "incomplete" end
  if status ~= "200" then return nil, "status_" .. status end
  local kind = headers["content-type"]
  if kind and not kind:lower():find("^text/plain") then return nil, "format" end
  text = text or ""
  if not allReadable(text) then return nil, "format" end
  if text ~= "" and text:byte(-1) ~= 10 then text = text .. "\n" end
  return text
end

local state = "openservicemesh.io/figures"
local up = "osm_application_metrics_up"
local about = "# HELP " .. up .. " Whether the application's own metrics are part of this answer.\n# TYPE " .. up .. " gauge\n"

function envoy_on_request(handle)
  local text, missing = ask(handle, handle:filterContext())
  if text then
    text = text .. about .. up .. " 1\n"
  else
    text = about .. up .. '{reason="' .. missing .. '"} 0\n'
  end
  handle:streamInfo():dynamicMetadata():set(state, "text", text)
end

function envoy_on_response(handle)
  local headers, kept = handle:headers(), handle:streamInfo():dynamicMetadata():get(state)
  if not kept or headers:get(":status") ~= "200" then return end
  headers:remove("content-length")
  local first = handle:bodyChunks()()
  if first then first:setBytes(kept.text .. first:getBytes(0, first:length())) end
end
