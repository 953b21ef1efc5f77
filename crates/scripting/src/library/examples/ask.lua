-- Evaluates each argument, an expression or statements that begin with "do", and tells what it gives or what its error is.
local function show(value, depth)
  local kind = type(value)
  if kind == 'string' then
    local text = value:sub(1, 300):gsub('[%c"\\\127-\255]', function(byte)
      return (byte == '"' or byte == '\\') and '\\' .. byte or string.format('\\%03d', byte:byte())
    end)
    return '"' .. text .. '"' .. (#value > 300 and '... ' .. #value or '')
  elseif kind == 'number' then
    return string.format('%.17g', value)
  elseif kind == 'table' then
    if depth == 6 then return '{...}' end
    local fields = {}
    for key, field in pairs(value) do
      fields[#fields + 1] = show(key, depth + 1) .. '=' .. show(field, depth + 1)
    end
    table.sort(fields)
    return '{' .. table.concat(fields, ', ') .. '}'
  elseif kind == 'userdata' and value == cjson.null then
    return 'null'
  elseif kind == 'boolean' or kind == 'nil' then
    return tostring(value)
  end
  return kind
end

local function tell(is_ok, ...)
  local values = {}
  for index = 1, math.min(select('#', ...), 40) do
    values[index] = show((select(index, ...)), 1)
  end
  if select('#', ...) > 40 then values[41] = '... ' .. select('#', ...) end
  return (is_ok and 'OK ' or 'ERR ') .. table.concat(values, ' ; ')
end

local answers = {}
for index, text in ipairs(ARGV) do
  local code, mistake = loadstring(text:find('^do ') and text or 'return ' .. text, '=e')
  answers[index] = code and tell(pcall(code)) or 'COMPILE ' .. mistake
end
return answers
