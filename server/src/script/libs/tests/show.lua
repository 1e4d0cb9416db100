local function show(value, depth)
    local kind = type(value)
    if kind == 'number' then
        if value ~= value then return 'nan' end
        return (string.gsub(string.format('%.17g', value), '%-nan', 'nan'))
    elseif kind == 'string' then
        return '"' .. string.gsub(value, '[%c"\\\127-\255]', function(c) return string.format('\\x%02x', string.byte(c)) end) .. '"'
    elseif kind == 'table' then
        if depth > 40 then return '{...}' end
        local parts = {}
        for k, v in pairs(value) do
            parts[#parts + 1] = '[' .. show(k, depth + 1) .. ']=' .. show(v, depth + 1)
        end
        table.sort(parts)
        return '{' .. table.concat(parts, ',') .. '}'
    elseif kind == 'userdata' then
        return 'null'
    elseif kind == 'function' then
        return 'function'
    end
    return tostring(value)
end
if not ok then return 'error ' .. show(values, 0) end
local shown = {}
for i = 1, values.n do shown[i] = show(values[i], 0) end
return table.concat(shown, ' ')
