-- Hooks that read a request's body ahead of the handlers, and keep nothing of it.

function raw(r)
    r:requestbody()
    return apache2.DECLINED
end

function form(r)
    r:parsebody()
    return apache2.DECLINED
end
